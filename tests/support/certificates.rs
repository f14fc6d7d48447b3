//! Certificates for brokers and agents, made by the openssl of the machine (`scripts/setup`).

use std::{fs, path::PathBuf, process::Command};

/// A folder with an authority and what it vouches for: `NAME.pem` and `NAME.key`, and both in `NAME.both`.
pub struct Certificates(PathBuf);

/// Who vouches for the others.
pub const AUTHORITY: &str = "authority";

impl Certificates {
    /// Makes an authority.
    pub fn new(name: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let all = Self(folder);
        all.make(AUTHORITY, &[]);
        all
    }

    /// Makes a certificate for this machine's loopback address.
    pub fn issue(&self, name: &str) {
        let (authority, key) = (self.path(&format!("{AUTHORITY}.pem")), self.path(&format!("{AUTHORITY}.key")));
        let vouched = ["-CA", &authority, "-CAkey", &key, "-addext", "subjectAltName=IP:127.0.0.1"];
        self.make(name, &[&vouched[..], &["-addext", "basicConstraints=CA:FALSE"]].concat());
        let both = [".key", ".pem"].map(|end| fs::read_to_string(self.path(&format!("{name}{end}"))).expect("a file"));
        fs::write(self.path(&format!("{name}.both")), both.concat()).expect("a file");
    }

    fn make(&self, name: &str, more: &[&str]) {
        let (certificate, key) = (self.path(&format!("{name}.pem")), self.path(&format!("{name}.key")));
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"];
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-days",
                "2",
                "-subj",
                &format!("/CN={name}"),
                "-keyout",
                &key,
                "-out",
                &certificate,
            ])
            .args(curve)
            .args(more)
            .output()
            .unwrap_or_else(|error| panic!("no openssl ({error}): install it with scripts/setup"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Where a file is.
    pub fn path(&self, file: &str) -> String {
        self.0.join(file).display().to_string()
    }
}
