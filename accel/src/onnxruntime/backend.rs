//! What the program runs networks with.

use super::api::Api;
use super::configuration::Configuration;
use super::profile;
use super::session::{Bound, Session};
use crate::memory::SharedMemory;
use crate::plan::{Loaded, Part, Plan, Tensor};
use crate::serve::Backend;

/// A network in ONNX Runtime, tied to shared memory.
pub struct OnnxRuntime {
    network: Bound,
    profiled: bool,
}

impl Backend for OnnxRuntime {
    fn load(plan: &Plan, memory: SharedMemory) -> Result<(Self, Loaded), String> {
        let api = Api::load(&plan.runtime)?;
        let names = |tensors: &[Tensor]| -> Vec<String> {
            tensors.iter().map(|tensor| tensor.name.clone()).collect()
        };
        let configuration = Configuration {
            provider: Some(&plan.provider),
            placement: plan.placement,
            profile: plan.profile.as_deref(),
        };
        let session = Session::on(
            api,
            &plan.network,
            &names(&plan.inputs),
            &names(&plan.outputs),
            &configuration,
        )?;
        let network = session.bind(memory, &plan.inputs, &plan.outputs)?;
        let by = format!("ONNX Runtime {}, {}", api.version(), plan.provider.name);
        let profiled = plan.profile.is_some();
        Ok((OnnxRuntime { network, profiled }, Loaded { by }))
    }

    fn step(&mut self) -> Result<(), String> {
        self.network.step()
    }

    fn parts(&mut self) -> Result<Vec<Part>, String> {
        if !self.profiled {
            return Err("the network was loaded without a profile".into());
        }
        let file = self.network.end_profile()?;
        let problem = |e: &dyn std::fmt::Display| format!("{}: {e}", file.display());
        let text = std::fs::read_to_string(&file).map_err(|e| problem(&e))?;
        let parts = profile::parts(&text).map_err(|e| problem(&e));
        // Nobody else has a use for it.
        std::fs::remove_file(&file).map_err(|e| problem(&e))?;
        parts
    }
}
