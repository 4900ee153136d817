"""Distillation: what a network learns from another, or from itself, beside the labels.

soft       posteriors of the teacher (G. Hinton et al., 2015)
feature    its hidden states, through a learned projection where widths differ (A. Romero et al., FitNets, ICLR 2015)
attention  where it looks (S. Zagoruyko and N. Komodakis, ICLR 2017; X. Jiao et al., TinyBERT, 2020)
relation   which frames of an utterance are alike (F. Tung and G. Mori, ICCV 2019; W. Park et al., CVPR 2019)
self       posteriors of the last layer for the layers before it (L. Zhang et al., Be Your Own Teacher, ICCV 2019)
ema        posteriors of the moving average of the network (A. Tarvainen and H. Valpola, NeurIPS 2017)

The teacher hears the sound undisturbed, may be wider and deeper and look into the future. Layers are paired evenly, the
last with the last. Projections and the heads of `self` serve training alone and are in no checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import nn
from torch.nn import functional as F

from training import losses
from training.model import AcousticModel


@dataclass(frozen=True)
class Mix:
    """How much of each. `soft` is the teacher's share beside the labels, 0 to 1; the others are weights of losses that
    are added to that."""

    soft: float = 0.0
    feature: float = 0.0
    attention: float = 0.0
    relation: float = 0.0
    self: float = 0.0
    ema: float = 0.0

    @property
    def wants_teacher(self) -> bool:
        """Whether somebody else teaches."""
        return max(self.soft, self.feature, self.attention, self.relation) > 0


def read_mix(text: str) -> Mix:
    """As in `soft=0.8,feature=0.5`. Raises ValueError for another name or a weight out of range."""
    known = [field.name for field in fields(Mix)]
    found = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in known:
            raise ValueError(f"--distil: `{name}` is none of {', '.join(known)}; write it as in soft=0.8,feature=0.5")
        try:
            found[name] = float(value)
        except ValueError:
            raise ValueError(f"--distil: {name} needs a weight, as in {name}=0.5, not `{value}`") from None
        if found[name] < 0 or (name == "soft" and found[name] > 1):
            raise ValueError(f"--distil: {name}={value} is out of range; soft goes from 0 to 1, the others from 0")
    return Mix(**found)


def paired(student: int, teacher: int) -> list[int]:
    """For each layer of a student the layer of its teacher: evenly spaced, the last with the last."""
    return [max(1, round((layer + 1) * teacher / student)) - 1 for layer in range(student)]


def with_layers(network: AcousticModel, layers: int) -> AcousticModel:
    """A network of fewer layers, evenly chosen from those of another (V. Sanh et al., DistilBERT, 2019)."""
    kept = paired(layers, network.config.layers)
    fewer = AcousticModel(replace(network.config, layers=layers))
    state = {name: value for name, value in network.state_dict().items() if not name.startswith("blocks.")}
    fewer.load_state_dict(state, strict=False)
    for block, source in zip(fewer.blocks, kept, strict=True):
        block.load_state_dict(network.blocks[source].state_dict())
    return fewer.train(network.training)


class Watch:
    """What a network held inside when it ran last."""

    def __init__(self, network: AcousticModel) -> None:
        #: Output of each block [rows, frames, dim].
        self.states: list[torch.Tensor] = [torch.empty(0)] * len(network.blocks)
        #: Attention of each block [rows, chunks, heads, queries, keys].
        self.maps: list[torch.Tensor] = [torch.empty(0)] * len(network.blocks)
        for number, block in enumerate(network.blocks):
            block.register_forward_hook(self._keep(self.states, number))
            block.attention.softmax.register_forward_hook(self._keep(self.maps, number))

    @staticmethod
    def _keep(where: list[torch.Tensor], number: int) -> Callable[[nn.Module, tuple, torch.Tensor], None]:
        def keep(_: nn.Module, __: tuple, output: torch.Tensor) -> None:
            where[number] = output

        return keep


class Distiller(nn.Module):
    """The losses of a mix for a student, with whatever they need to learn themselves.

    Raises ValueError when the mix wants a teacher and there is none, the attention of one whose chunks or delay differ,
    or lessons for layers before the last and there are none.
    """

    def __init__(self, mix: Mix, student: AcousticModel, teacher: AcousticModel | None) -> None:
        super().__init__()
        if mix.wants_teacher and teacher is None:
            raise ValueError("--distil: soft, feature, attention and relation need a --teacher")
        own = student.config
        if mix.self and own.layers < 2:
            raise ValueError("--distil: self needs a layer before the last; give --layers 2 or more")
        self.mix = mix
        self.student, self.student_delay = Watch(student), own.delay
        if teacher is not None:
            other = teacher.config
            if mix.attention and (own.chunk, own.delay) != (other.chunk, other.delay):
                raise ValueError(
                    f"--distil: attention needs the teacher's --chunk {other.chunk} and --delay {other.delay}, "
                    f"not {own.chunk} and {own.delay}"
                )
            self.teacher, self.teacher_delay = Watch(teacher), other.delay
            self.pairs = list(enumerate(paired(own.layers, other.layers)))
            self.contexts = (own.context, other.context)
            self.chunk = own.chunk
        self.project = nn.ModuleList(
            nn.Identity() if own.dim == other.dim else nn.Linear(own.dim, other.dim)
            for _ in (self.pairs if mix.feature else ())
        )
        self.heads = nn.ModuleList(nn.Linear(own.dim, own.columns) for _ in range(own.layers - 1 if mix.self else 0))

    def forward(
        self,
        plain: torch.Tensor,
        columns: torch.Tensor,
        taught: torch.Tensor | None,
        averaged: torch.Tensor | None,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """The loss with the mix in it. To be called after student and teacher have run.

        `plain`: loss by the labels; `columns`, `taught`, `averaged`: log posteriors [rows, frames, columns] of student,
        teacher and moving average, as `losses.shifted` leaves them; `labels` [rows, frames], below nought where there
        is no sound.
        """
        mix, inside = self.mix, labels >= 0
        loss = plain
        if mix.soft:
            loss = loss + mix.soft * (losses.soft_cross_entropy(columns, taught, labels) - loss)
        if mix.ema:
            loss = loss + mix.ema * losses.soft_cross_entropy(columns, averaged, labels)
        if mix.feature:
            loss = loss + mix.feature * self.feature(inside)
        if mix.attention:
            loss = loss + mix.attention * self.attention(inside)
        if mix.relation:
            loss = loss + mix.relation * self.relation(inside)
        if mix.self:
            loss = loss + mix.self * self.own(columns, labels)
        return loss

    def feature(self, inside: torch.Tensor) -> torch.Tensor:
        """Squared distance of normalised hidden states, mean over layers and frames."""
        each = []
        for (number, source), project in zip(self.pairs, self.project, strict=True):
            own, other = self._states(number, source, inside.shape[1])
            distance = F.layer_norm(project(own), other.shape[-1:]) - F.layer_norm(other, other.shape[-1:])
            each.append(_mean(distance.square().mean(-1), inside))
        return torch.stack(each).mean()

    def attention(self, inside: torch.Tensor) -> torch.Tensor:
        """Divergence of the student's attention from the teacher's, nats a query. Keys are those that both have; heads
        are compared one by one where they are as many, else their mean."""
        past = min(self.contexts)
        each = []
        for number, source in self.pairs:
            own, other = self.student.maps[number].float(), self.teacher.maps[source].float()
            if own.shape[2] != other.shape[2]:
                own, other = (maps.mean(2, keepdim=True) for maps in (own, other))
            pair = zip((own, other), self.contexts, strict=True)
            own, other = (_share(maps[..., context - past : context + self.chunk]) for maps, context in pair)
            chunks = min(own.shape[1], other.shape[1])
            divergence = other[:, :chunks] * (other[:, :chunks].log() - own[:, :chunks].log())
            queries = divergence.sum(-1).mean(2).flatten(1)
            heard = losses.shifted(queries, self.student_delay, inside.shape[1])
            each.append(_mean(heard, inside[:, : heard.shape[1]]))
        return torch.stack(each).mean()

    def relation(self, inside: torch.Tensor) -> torch.Tensor:
        """Squared difference of the cosines between all frames of an utterance, last layer."""
        states = self._states(*self.pairs[-1], inside.shape[1])
        own, other = (unit @ unit.transpose(1, 2) for unit in (F.normalize(state, dim=-1) for state in states))
        return _mean((own - other).square(), inside[:, :, None] & inside[:, None, :])

    def own(self, columns: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy of the earlier layers' heads against the network's own posteriors, mean over layers."""
        each = []
        for head, state in zip(self.heads, self.student.states, strict=False):
            early = head(losses.shifted(state.float(), self.student_delay, labels.shape[1])).log_softmax(-1)
            each.append(losses.soft_cross_entropy(early, columns.detach(), labels))
        return torch.stack(each).mean()

    def _states(self, number: int, source: int, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states [rows, frames, dim] of student and teacher about the same sound."""
        own = losses.shifted(self.student.states[number].float(), self.student_delay, frames)
        return own, losses.shifted(self.teacher.states[source].float(), self.teacher_delay, frames).detach()


def _mean(values: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    return (values * inside).sum() / inside.sum().clamp_min(1)


def _share(maps: torch.Tensor) -> torch.Tensor:
    """Attention to some of the keys, adding up to one again."""
    maps = maps.clamp_min(1e-6)
    return maps / maps.sum(-1, keepdim=True)
