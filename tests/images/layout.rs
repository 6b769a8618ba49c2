//! Builds images as strangers would: layouts and archives of any shape.

use std::fs;
use std::path::{Path, PathBuf};

use pinfold::image::pack::{Entry, Kind, pad, write_end, write_entry};
use pinfold::types::Digest;
use serde_json::{Value, json};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layer in the making.
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self(vec![])
    }

    fn entry(self, name: &str, kind: Kind<'_>, mode: u32, owner: (u32, u32)) -> Self {
        let (uid, gid) = owner;
        self.raw(&Entry { name: name.as_bytes(), kind, mode, uid, gid, mtime: 1, xattrs: &[] })
    }

    pub fn raw(mut self, entry: &Entry<'_>) -> Self {
        write_entry(&mut self.0, entry).unwrap();
        self
    }

    /// A directory of this mode.
    pub fn dir_of(self, name: &str, mode: u32) -> Self {
        self.entry(name, Kind::Directory, mode, (0, 0))
    }

    pub fn dir(self, name: &str) -> Self {
        self.entry(name, Kind::Directory, 0o755, (0, 0))
    }

    pub fn file(self, name: &str, content: &str) -> Self {
        self.owned(name, content.as_bytes(), 0o644, (0, 0))
    }

    pub fn owned(self, name: &str, content: &[u8], mode: u32, owner: (u32, u32)) -> Self {
        let size = content.len() as u64;
        let mut with = self.entry(name, Kind::File(size), mode, owner);
        with.0.extend_from_slice(content);
        pad(&mut with.0, size).unwrap();
        with
    }

    pub fn link(self, name: &str, target: &str) -> Self {
        self.entry(name, Kind::Symlink(target.as_bytes()), 0o777, (0, 0))
    }

    pub fn fifo(self, name: &str) -> Self {
        self.entry(name, Kind::Fifo, 0o666, (0, 0))
    }

    pub fn end(mut self) -> Vec<u8> {
        write_end(&mut self.0).unwrap();
        self.0
    }
}

/// A root with busybox and accounts.
pub fn busybox() -> Tar {
    let busybox = fs::read("/usr/bin/busybox").expect("busybox-static is needed");
    let mut tar = Tar::new().dir("./");
    for name in ["bin/", "dev/", "etc/", "home/", "proc/", "sys/", "tmp/", "data/"] {
        tar = tar.dir(name);
    }
    tar = tar.owned("bin/busybox", &busybox, 0o755, (0, 0));
    for applet in [
        "cat", "chmod", "dd", "env", "id", "ls", "mkdir", "mount", "pwd", "rm", "sh", "sleep", "stat",
        "touch", "true",
    ] {
        tar = tar.link(&format!("bin/{applet}"), "busybox");
    }
    tar.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:44::/data:/bin/sh\n")
        .file("etc/group", "root:x:0:\nweb:x:44:\nlogs:x:4:web\n")
}

/// A layout in the making.
pub struct Layout {
    pub path: PathBuf,
    pub manifests: Vec<Value>,
}

impl Layout {
    pub fn new(path: PathBuf) -> Self {
        fs::create_dir_all(path.join("blobs/sha256")).unwrap();
        fs::write(path.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { path, manifests: vec![] }
    }

    /// One image of these layers, with this `config`.
    pub fn image(path: PathBuf, layers: &[Vec<u8>], config: Value) -> (Self, Digest) {
        let mut layout = Self::new(path);
        let manifest = layout.manifest(layers, config);
        let digest = manifest["digest"].as_str().unwrap().parse().unwrap();
        layout.manifests.push(manifest);
        layout.write();
        (layout, digest)
    }

    pub fn manifest(&self, layers: &[Vec<u8>], config: Value) -> Value {
        self.manifest_for(architecture(), layers, config)
    }

    pub fn manifest_for(&self, machine: &str, layers: &[Vec<u8>], config: Value) -> Value {
        let diff_ids: Vec<_> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = json!({
            "os": "linux", "architecture": machine, "config": config,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes());
        let layers: Vec<_> = layers.iter().map(|layer| self.blob(LAYER, layer)).collect();
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers});
        self.blob(MANIFEST, manifest.to_string().as_bytes())
    }

    /// Its descriptor.
    pub fn blob(&self, kind: &str, content: &[u8]) -> Value {
        let digest = Digest::of(content);
        fs::write(self.blob_path(&digest), content).unwrap();
        json!({"mediaType": kind, "digest": digest, "size": content.len()})
    }

    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(digest.hex())
    }

    pub fn write(&self) {
        let index = json!({"schemaVersion": 2, "manifests": self.manifests});
        fs::write(self.path.join("index.json"), index.to_string()).unwrap();
    }

    pub fn source(&self) -> String {
        format!("oci:{}", self.path.display())
    }
}

pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An archive of files as they are named.
pub fn archive(path: &Path, files: &[(&str, Vec<u8>)], links: &[(&str, &str)]) -> String {
    let mut tar = Tar::new();
    for (name, content) in files {
        tar = tar.owned(name, content, 0o644, (0, 0));
    }
    for (name, target) in links {
        tar = tar.link(name, target);
    }
    fs::write(path, tar.end()).unwrap();
    format!("archive:{}", path.display())
}
