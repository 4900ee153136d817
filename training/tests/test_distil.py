"""Every part of distillation teaches the student, and nothing teaches the teacher."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training import forced, losses
from training.distil import Distiller, Mix, paired, read_mix, with_layers
from training.fake_quant import FakeQuantised, read_plan
from training.model import SUBSAMPLING, AcousticModel, Config
from training.onnx_graph import streaming
from training.tests.packs import write_pack
from training.train import Trainer, arguments

STUDENT = Config(columns=12, dim=32, layers=2, heads=2, channels=4, context=12, dropout=0.0)
#: Wider, deeper, with more past and some future.
TEACHER = replace(STUDENT, dim=48, layers=5, heads=3, context=16, future=6)
ROWS, FRAMES = 4, 44


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def networks(teacher: Config = TEACHER) -> tuple[AcousticModel, AcousticModel]:
    """A student and a teacher, drawn at random; the teacher is sure of what it says."""
    torch.manual_seed(11)
    student, other = AcousticModel(STUDENT).train(), AcousticModel(teacher).eval()
    other.out.weight.data *= 6.0
    for block in other.blocks:
        block.attention.bias.data.normal_(0.0, 2.0)
        block.attention.qkv.weight.data *= 3.0
    return student, other


class Lesson:
    """A few utterances, the last of them shorter, and labels that say nothing."""

    def __init__(self, student: AcousticModel, teacher: AcousticModel | None, mix: Mix) -> None:
        torch.manual_seed(12)
        self.network = student
        self.student, self.teacher, self.mix = student, teacher, mix
        self.distiller = Distiller(mix, student, teacher)
        self.features = torch.randn(ROWS, student.padded(FRAMES * SUBSAMPLING), STUDENT.mels)
        self.labels = torch.zeros(ROWS, FRAMES, dtype=torch.long)
        self.labels[-1, 30:] = -100

    def loss(self) -> torch.Tensor:
        columns = losses.shifted(self.network(self.features), STUDENT.delay, FRAMES)
        taught = averaged = None
        with torch.no_grad():
            if self.teacher is not None:
                heard = torch.nn.functional.pad(self.features, (0, 0, 0, 60))[:, : self._wanted()]
                taught = losses.shifted(self.teacher(heard), self.teacher.config.delay, FRAMES)
            if self.mix.ema:
                averaged = columns.detach().roll(1, dims=2)
        return self.distiller(torch.zeros(()), columns, taught, averaged, self.labels)

    def _wanted(self) -> int:
        return self.teacher.padded(FRAMES * SUBSAMPLING)

    def learn(self, steps: int, rate: float = 3e-3) -> tuple[float, float]:
        """The loss before and after."""
        optimiser = torch.optim.Adam([*self.student.parameters(), *self.distiller.parameters()], lr=rate)
        before = self.loss().item()
        for _ in range(steps):
            loss = self.loss()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return before, self.loss().item()


# How much of its loss each part may keep after a few steps. Cross-entropies have a floor: the teacher's own entropy.
PARTS = {"soft": 0.95, "feature": 0.9, "attention": 0.9, "relation": 0.8, "self": 0.99}


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_learnt_by_the_student_alone(part: str) -> None:
    student, teacher = networks()
    lesson = Lesson(student, teacher, read_mix(f"{part}=1"))
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    first, last = lesson.learn(20)
    assert last < PARTS[part] * first, (first, last)
    assert all(value.grad is None for value in teacher.parameters())
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    lesson.loss().backward()
    reached = student.blocks[0].attention.qkv.weight.grad
    assert reached is not None and reached.abs().max() > 0


def test_a_moving_average_teaches_what_it_says() -> None:
    student, _ = networks()
    lesson = Lesson(student, None, read_mix("ema=1"))
    columns = losses.shifted(student(lesson.features), STUDENT.delay, FRAMES)
    told = torch.full_like(columns, -30.0)
    told[..., 3] = 0.0
    loss = lesson.distiller(torch.zeros(()), columns, None, told, lesson.labels)
    heard = lesson.labels >= 0
    assert loss.item() == pytest.approx(-columns[..., 3][heard].mean().item(), rel=1e-4)


def test_a_teacher_that_is_the_student_has_nothing_to_say() -> None:
    student, teacher = networks(STUDENT)
    student.load_state_dict(teacher.state_dict())
    lesson = Lesson(student.eval(), teacher, read_mix("feature=1,attention=1,relation=1"))
    assert lesson.loss().item() == pytest.approx(0.0, abs=1e-5)
    teacher.blocks[1].first.up.weight.data *= 3.0
    assert lesson.loss().item() > 1e-3


def test_states_are_compared_where_they_speak_of_the_same_sound() -> None:
    """A teacher with another delay says the same, later."""
    student, teacher = networks(STUDENT)
    lesson = Lesson(student.eval(), teacher, read_mix("feature=1"))
    lesson.loss()
    state = torch.randn(ROWS, 60, STUDENT.dim)
    lesson.distiller.student.states[:] = [state] * 2
    lesson.distiller.teacher.states[:] = [torch.nn.functional.pad(state, (0, 0, 3, 0))] * 2
    lesson.distiller.teacher_delay = STUDENT.delay + 3
    assert lesson.distiller.feature(lesson.labels >= 0).item() == pytest.approx(0.0, abs=1e-6)


def test_frames_without_sound_count_for_nothing() -> None:
    student, teacher = networks()
    lesson = Lesson(student.eval(), teacher, read_mix("feature=1,attention=1,relation=1,self=1,soft=0.5"))
    first = lesson.loss().item()
    lesson.labels[-1, 30:] = 0
    assert lesson.loss().item() != pytest.approx(first, rel=1e-4)
    lesson.labels[:] = -100
    assert lesson.loss().item() == 0.0


def test_a_network_in_low_precision_learns_from_its_floats() -> None:
    student, teacher = networks(STUDENT)
    for layer in teacher.modules():
        if isinstance(layer, torch.nn.Linear):
            layer.weight.data *= torch.randn_like(layer.weight).exp()
    student.load_state_dict(teacher.state_dict())
    lesson = Lesson(student.eval(), teacher, read_mix("feature=1,relation=1"))
    lesson.network = FakeQuantised(student, read_plan("int4", student)).eval()
    first, last = lesson.learn(15, 3e-4)
    assert 0 < last < 0.8 * first, (first, last)


def test_a_mix_is_read_and_nonsense_is_refused() -> None:
    assert read_mix("soft=0.5,self=0.2") == Mix(soft=0.5, self=0.2)
    for text, complaint in (
        ("sofd=1", "`sofd` is none of soft, feature"),
        ("soft", "soft needs a weight"),
        ("soft=2", "soft=2 is out of range"),
        ("feature=-1", "feature=-1 is out of range"),
    ):
        with pytest.raises(ValueError, match=complaint):
            read_mix(text)
    student, teacher = networks(replace(TEACHER, chunk=6))
    with pytest.raises(ValueError, match="need a --teacher"):
        Distiller(read_mix("relation=1"), student, None)
    with pytest.raises(ValueError, match="self needs a layer before"):
        Distiller(read_mix("self=1"), AcousticModel(replace(STUDENT, layers=1)), None)
    with pytest.raises(ValueError, match="attention needs the teacher's --chunk 6"):
        Distiller(read_mix("attention=1"), student, teacher)


def test_a_student_may_begin_with_its_teachers_layers() -> None:
    assert paired(3, 6) == [1, 3, 5] and paired(2, 5) == [1, 4] and paired(4, 2) == [0, 0, 1, 1]
    _, teacher = networks()
    fewer = with_layers(teacher, 2)
    assert fewer.config == replace(TEACHER, layers=2) and not fewer.training
    for number, source in enumerate((1, 4)):
        for one, other in zip(fewer.blocks[number].parameters(), teacher.blocks[source].parameters(), strict=True):
            assert torch.equal(one, other)
    assert torch.equal(fewer.out.weight, teacher.out.weight)
    assert torch.equal(fewer.subsampling.first.weight, teacher.subsampling.first.weight)


def test_a_teacher_and_a_student_of_a_fraction_of_it_are_trained_and_judged(tmp_path: Path) -> None:
    said = [[1, 2, 3], [3, 1], [2, 1], [1, 3, 2, 3]]
    entries = [("a", str(number), "train", units) for number, units in enumerate(said)]
    write_pack(tmp_path, [*entries, ("a", "9", "dev", [2, 3])])

    def trained(options: str) -> Trainer:
        common = f"--device cpu --seconds 10 --workers 1 --strength track=10 --pack {tmp_path} --schedule ce:0.02"
        trainer = Trainer(arguments().parse_args([*common.split(), *options.split()]))
        if trainer.args.distil:
            source = trainer.args.teacher
            trainer.distil(forced.load(source, trainer.device)[0] if source else None)
        if trainer.args.warm_start:
            trainer.load(trainer.args.warm_start)
        trainer.realign(0.0)
        trainer.count_transitions()
        trainer.stage(0, "ce", 0.02)
        assert all(math.isfinite(error) for error in trainer.report(0.0).values())
        return trainer

    large = trained(f"--dim 96 --layers 4 --future 8 --channels 8 --out {tmp_path}/large")
    teacher = f"--teacher {tmp_path}/large/stage0.pt"
    mix = "--distil soft=0.8,feature=0.5,attention=0.1,relation=0.1,self=0.1,ema=0.1"
    small = trained(f"--dim 32 --layers 3 --channels 4 --chunk 8 --out {tmp_path}/small {teacher} {mix}")
    assert 5 * count(small.model) < count(large.model)
    streaming(small.average, None)
    with pytest.raises(ValueError, match="8 frames of future cannot stream"):
        streaming(large.average, None)
    names = torch.load(tmp_path / "small" / "stage0.pt", weights_only=True)["average"].keys()
    assert names == AcousticModel(small.config).state_dict().keys(), "heads and projections are no part of the network"
    start = f"--warm-start {tmp_path}/small/stage0.pt"
    trained(f"--dim 32 --layers 2 --channels 4 --out {tmp_path}/fewer --distil self=0.1,ema=0.2 {start}")


def count(network: AcousticModel) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
