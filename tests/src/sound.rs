//! A private sound server with a virtual microphone, for programs that listen through ALSA.
//!
//! PulseAudio runs without any hardware: what is played into its null sink comes out of the sink's monitor, and an ALSA
//! configuration of its own makes that monitor the default microphone.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::eventually;

/// A running sound server and its virtual microphone; stopped when dropped.
pub struct SoundServer {
    folder: TempDir,
    rate: u32,
    server: Option<Child>,
}

/// The microphone's ALSA name, besides `default`.
pub const MICROPHONE: &str = "cabin";

impl SoundServer {
    /// Starts a server whose virtual microphone has `rate` frames of two channels a second. Where PulseAudio, its ALSA
    /// plugin or `pacat` are not installed, says so and what is `skipped`.
    ///
    /// # Panics
    /// When everything is installed and the server does not come up.
    #[must_use]
    pub fn start(rate: u32, skipped: &str) -> Option<Self> {
        if let Some(missing) = missing() {
            eprintln!(
                "SKIPPED: {skipped}: {missing} (apt-get install pulseaudio pulseaudio-utils libasound2-plugins)"
            );
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut sound = Self {
            folder,
            rate,
            server: None,
        };
        std::fs::write(sound.alsa_configuration(), sound.alsa_text())
            .expect("the ALSA configuration is written");
        sound.restart();
        Some(sound)
    }

    /// What a program needs in its environment to find this server's microphone.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("ALSA_CONFIG_PATH", self.alsa_configuration().into()),
            ("PULSE_SERVER", self.address().into()),
            ("XDG_RUNTIME_DIR", self.folder.path().into()),
            ("HOME", self.folder.path().into()),
        ]
    }

    /// Plays samples in [-1, 1], at the microphone's rate, into both channels; returns when they have been heard.
    ///
    /// # Panics
    /// When playing fails.
    pub fn play(&self, samples: &[f32]) {
        let path = self.folder.path().join("played.raw");
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        std::fs::write(&path, bytes).expect("the samples are written");
        let played = Command::new("pacat")
            .args([
                "--playback",
                "--raw",
                "--format=float32le",
                "--channels=1",
                "--device",
                MICROPHONE,
            ])
            .arg(format!("--rate={}", self.rate))
            .arg(&path)
            .envs(self.environment())
            .status()
            .expect("pacat runs");
        assert!(played.success(), "pacat: {played}");
    }

    /// Ends the server at once, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// Starts the server again, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// When it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        let log = std::fs::File::create(self.folder.path().join("server.log")).expect("a log file");
        let server = Command::new("pulseaudio")
            .args([
                "-n",
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--disable-shm=yes",
                "--use-pid-file=no",
            ])
            .args(["--realtime=no", "--high-priority=no"])
            .args([
                "-L",
                &format!(
                    "module-null-sink sink_name={MICROPHONE} rate={} channels=2 norewinds=1",
                    self.rate
                ),
            ])
            .args([
                "-L",
                &format!(
                    "module-native-protocol-unix auth-anonymous=1 socket={}",
                    self.socket().display()
                ),
            ])
            .envs(self.environment())
            .env_remove("PULSE_SERVER")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle to the log"))
            .stderr(log)
            .spawn()
            .expect("pulseaudio starts");
        self.server = Some(server);
        eventually("the sound server answers", Duration::from_secs(20), || {
            self.answers().then_some(())
        });
    }

    fn answers(&self) -> bool {
        let sources = Command::new("pactl")
            .args(["list", "short", "sources"])
            .envs(self.environment())
            .output();
        sources.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(MICROPHONE))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("sound.socket")
    }

    fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    fn alsa_configuration(&self) -> PathBuf {
        self.folder.path().join("asound.conf")
    }

    fn alsa_text(&self) -> String {
        let pcm = |name: &str| {
            format!(
                "pcm.{name} {{\n type pulse\n server \"{}\"\n device \"{MICROPHONE}.monitor\"\n \
                 hint {{ show on description \"Cabin microphone\" }}\n}}\n",
                self.address()
            )
        };
        format!(
            "</usr/share/alsa/alsa.conf>\n{}{}",
            pcm("!default"),
            pcm(MICROPHONE)
        )
    }
}

impl Drop for SoundServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn missing() -> Option<String> {
    for program in ["pulseaudio", "pacat", "pactl"] {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if found.is_err() {
            return Some(format!("{program} is not installed"));
        }
    }
    match alsa_plugin_installed(Path::new("/usr/lib")) {
        Ok(true) => None,
        _ => Some("ALSA's PulseAudio plugin is not installed".to_owned()),
    }
}

/// The plugin lies in `alsa-lib/` below the library folder, or below the architecture's folder in there.
fn alsa_plugin_installed(libraries: &Path) -> io::Result<bool> {
    const PLUGIN: &str = "alsa-lib/libasound_module_pcm_pulse.so";
    if libraries.join(PLUGIN).exists() {
        return Ok(true);
    }
    for folder in std::fs::read_dir(libraries)? {
        if folder?.path().join(PLUGIN).exists() {
            return Ok(true);
        }
    }
    Ok(false)
}
