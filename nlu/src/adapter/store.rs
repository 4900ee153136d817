//! The adapters of a vehicle: which are in memory, which may go, which reads what.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::Serialize;
use vocar_inference::Trust;

use super::{Adapter, AdapterError, AdapterManifest, MANIFEST, is_name};
use crate::encoder::Encoder;

/// How to load an adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// Into layers of its own.
    pub merge: bool,
    /// It stays in memory until it is unpinned or unloaded.
    pub pin: bool,
    /// It reads its domain from now on, for whoever names no other.
    pub activate: bool,
}

/// An adapter as lists show it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AdapterInfo {
    /// Its name.
    pub name: String,
    /// The domain it reads; empty when its manifest cannot be read.
    pub domain: String,
    /// Its rank.
    pub rank: usize,
    /// Bytes in memory, nought unless loaded.
    pub bytes: usize,
    /// Whether it is in memory.
    pub loaded: bool,
    /// Whether it stays there.
    pub pinned: bool,
    /// Whether it has layers of its own.
    pub merged: bool,
    /// Whether it reads its domain for whoever names no other.
    pub active: bool,
    /// How it was trained and how good it is.
    pub figures: toml::Table,
    /// What is wrong with it on the disk.
    pub problem: Option<String>,
}

/// An adapter in memory.
#[derive(Debug)]
struct Loaded {
    adapter: Arc<Adapter>,
    pinned: bool,
    /// When it was last read with, by the store's clock.
    used: AtomicU64,
}

/// What is in memory and in force at one moment. Never changed: the next one takes its place.
#[derive(Debug, Clone, Default)]
struct Snapshot {
    loaded: BTreeMap<String, Arc<Loaded>>,
    /// Names of adapters by domain. One that had to go is loaded again when it is needed.
    active: BTreeMap<String, String>,
}

impl Snapshot {
    fn bytes(&self, counts: impl Fn(&Loaded) -> bool) -> usize {
        let counted = self.loaded.values().filter(|loaded| counts(loaded));
        counted.map(|loaded| loaded.adapter.bytes()).sum()
    }
}

/// The adapters in a folder, some of them in memory. All that changes is a new snapshot in place of the old: who reads at the
/// moment goes on with what he has, and a new adapter that is refused leaves everything as it was.
#[derive(Debug)]
pub struct AdapterStore {
    encoder: Arc<Encoder>,
    folder: PathBuf,
    cap: usize,
    trust: Trust,
    snapshot: RwLock<Arc<Snapshot>>,
    /// One change at a time.
    change: Mutex<()>,
    clock: AtomicU64,
}

impl AdapterStore {
    /// The adapters in the folders of `folder`, for an encoder; those in memory take at most `cap` bytes. Nothing is loaded yet, and
    /// the folder need not exist.
    pub fn new(encoder: Arc<Encoder>, folder: impl Into<PathBuf>, cap: usize) -> AdapterStore {
        AdapterStore {
            encoder,
            folder: folder.into(),
            cap,
            trust: Trust::everybody(),
            snapshot: RwLock::default(),
            change: Mutex::default(),
            clock: AtomicU64::new(1),
        }
    }

    /// Whose adapters may be loaded.
    #[must_use]
    pub fn trusting(self, trust: Trust) -> AdapterStore {
        AdapterStore { trust, ..self }
    }

    /// The encoder it is for.
    pub fn encoder(&self) -> &Arc<Encoder> {
        &self.encoder
    }

    /// Where the adapters are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes that those in memory take.
    pub fn bytes(&self) -> usize {
        self.snapshot().bytes(|_| true)
    }

    /// Loads an adapter, or loads it anew; others that were not read with for the longest go if there is no room. Whoever reads
    /// has the old one until the new one is whole.
    ///
    /// # Errors
    /// [`AdapterError`]; everything is as it was.
    pub fn load(&self, name: &str, options: LoadOptions) -> Result<Arc<Adapter>, AdapterError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.dir(name)?;
        let mut adapter = Adapter::load_trusted(&dir, &self.encoder, &self.trust)?;
        if options.merge {
            adapter = adapter.merged(&self.encoder)?;
        }
        let adapter = Arc::new(adapter);
        let mut next = (*self.snapshot()).clone();
        next.loaded.remove(name);
        self.make_room(&mut next, &adapter)?;
        let loaded = Loaded {
            adapter: Arc::clone(&adapter),
            pinned: options.pin,
            used: AtomicU64::new(self.tick()),
        };
        next.loaded.insert(name.to_owned(), Arc::new(loaded));
        if options.activate {
            let domain = adapter.domain().to_owned();
            next.active.insert(domain, name.to_owned());
        }
        self.swap(next);
        Ok(adapter)
    }

    /// Lets go of an adapter; its domain, if it was active, is read by the base again.
    ///
    /// # Errors
    /// [`AdapterError::NotLoaded`].
    pub fn unload(&self, name: &str) -> Result<(), AdapterError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = (*self.snapshot()).clone();
        let active = next.active.values().any(|active| active == name);
        if next.loaded.remove(name).is_none() && !active {
            return Err(self.not_loaded(name));
        }
        next.active.retain(|_, active| active != name);
        self.swap(next);
        Ok(())
    }

    /// Keeps an adapter in memory whatever comes, or no more.
    ///
    /// # Errors
    /// [`AdapterError::NotLoaded`].
    pub fn pin(&self, name: &str, pinned: bool) -> Result<(), AdapterError> {
        let _one = self.change.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = (*self.snapshot()).clone();
        let Some(loaded) = next.loaded.get_mut(name) else {
            return Err(self.not_loaded(name));
        };
        *loaded = Arc::new(Loaded {
            adapter: Arc::clone(&loaded.adapter),
            pinned,
            used: AtomicU64::new(loaded.used.load(Ordering::Relaxed)),
        });
        self.swap(next);
        Ok(())
    }

    /// The adapter that is to read a domain: of the `wanted` ones the first that is the domain's, else the domain's active one.
    /// One that is not in memory is loaded. `None`: the base is to read, also when the adapter cannot be loaded, which is
    /// logged.
    pub fn choose(&self, domain: &str, wanted: &[String]) -> Option<Arc<Adapter>> {
        let named = wanted.iter().filter_map(|name| self.at_hand(name));
        let mut fitting = named.filter(|adapter| adapter.domain() == domain);
        let active = || {
            let name = self.snapshot().active.get(domain).cloned()?;
            self.at_hand(&name)
        };
        fitting.next().or_else(active)
    }

    /// Loads those of a request that are not in memory.
    ///
    /// # Errors
    /// As [`AdapterStore::load`].
    pub fn prepare(&self, wanted: &[String]) -> Result<(), AdapterError> {
        wanted.iter().try_for_each(|name| self.get(name).map(drop))
    }

    /// All adapters: those in memory, and those in the folder.
    pub fn list(&self) -> Vec<AdapterInfo> {
        let snapshot = self.snapshot();
        let mut found = BTreeMap::new();
        for name in self.names() {
            let read = AdapterManifest::read_trusted(&self.folder.join(&name), &self.trust);
            found.insert(name.clone(), described(&name, read));
        }
        for (name, loaded) in &snapshot.loaded {
            let Loaded { adapter, .. } = &**loaded;
            let manifest = adapter.manifest();
            let info = found
                .entry(name.clone())
                .or_insert_with(|| described(name, Ok(manifest.clone())));
            info.domain.clone_from(&manifest.domain);
            info.rank = manifest.rank;
            info.bytes = adapter.bytes();
            (info.loaded, info.pinned, info.merged) = (true, loaded.pinned, adapter.is_merged());
        }
        let active = |name: &String| snapshot.active.values().any(|active| active == name);
        found
            .into_iter()
            .map(|(name, info)| AdapterInfo {
                active: active(&name),
                ..info
            })
            .collect()
    }

    /// Names of the adapters in memory.
    pub fn loaded(&self) -> Vec<String> {
        self.snapshot().loaded.keys().cloned().collect()
    }

    /// Names of the active adapters by domain.
    pub fn active(&self) -> BTreeMap<String, String> {
        self.snapshot().active.clone()
    }

    /// An adapter in memory, loaded if need be; the error is logged.
    fn at_hand(&self, name: &str) -> Option<Arc<Adapter>> {
        let got = self.get(name);
        if let Err(error) = &got {
            tracing::error!(adapter = name, "the base reads in its place: {error}");
        }
        got.ok()
    }

    fn get(&self, name: &str) -> Result<Arc<Adapter>, AdapterError> {
        if let Some(loaded) = self.snapshot().loaded.get(name) {
            loaded.used.store(self.tick(), Ordering::Relaxed);
            return Ok(Arc::clone(&loaded.adapter));
        }
        let options = LoadOptions {
            merge: false,
            pin: false,
            activate: false,
        };
        self.load(name, options)
    }

    /// Lets go of those not read with for the longest until there is room for one more.
    fn make_room(&self, next: &mut Snapshot, adapter: &Adapter) -> Result<(), AdapterError> {
        let pinned = next.bytes(|loaded| loaded.pinned);
        if pinned + adapter.bytes() > self.cap {
            return Err(AdapterError::Full {
                name: adapter.name().to_owned(),
                needed: adapter.bytes(),
                cap: self.cap,
                pinned,
            });
        }
        while next.bytes(|_| true) + adapter.bytes() > self.cap {
            let free = next.loaded.iter().filter(|(_, loaded)| !loaded.pinned);
            let oldest = free.min_by_key(|(_, loaded)| loaded.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(name, _)| name.clone()) else {
                break;
            };
            tracing::info!(adapter = oldest, "unloaded to make room");
            next.loaded.remove(&oldest);
        }
        Ok(())
    }

    fn dir(&self, name: &str) -> Result<PathBuf, AdapterError> {
        if !is_name(name) {
            return Err(AdapterError::BadName {
                name: name.chars().take(80).collect(),
            });
        }
        let dir = self.folder.join(name);
        if dir.join(MANIFEST).exists() {
            return Ok(dir);
        }
        Err(AdapterError::Unknown {
            name: name.to_owned(),
            folder: self.folder.clone(),
            known: joined(self.names()),
        })
    }

    /// Names of the folders that may be adapters.
    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let named = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let mut names: Vec<String> = entries
            .filter_map(|entry| named(entry.ok()?))
            .filter(|name| is_name(name) && self.folder.join(name).join(MANIFEST).exists())
            .collect();
        names.sort();
        names
    }

    fn not_loaded(&self, name: &str) -> AdapterError {
        AdapterError::NotLoaded {
            name: name.chars().take(80).collect(),
            known: joined(self.loaded()),
        }
    }

    fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.snapshot.read();
        Arc::clone(&current.unwrap_or_else(PoisonError::into_inner))
    }

    fn swap(&self, next: Snapshot) {
        let next = Arc::new(next);
        let mut current = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, next);
        drop(current);
        // Whatever goes is freed here, while nobody waits.
        drop(old);
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }
}

fn described(name: &str, read: Result<AdapterManifest, AdapterError>) -> AdapterInfo {
    let problem = read.as_ref().err().map(ToString::to_string);
    let manifest = read.ok();
    AdapterInfo {
        name: name.to_owned(),
        domain: manifest
            .as_ref()
            .map_or_else(String::new, |m| m.domain.clone()),
        rank: manifest.as_ref().map_or(0, |m| m.rank),
        bytes: 0,
        loaded: false,
        pinned: false,
        merged: false,
        active: false,
        figures: manifest.map(|m| m.figures).unwrap_or_default(),
        problem,
    }
}

fn joined(names: Vec<String>) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}
