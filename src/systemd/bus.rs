//! A blocking connection to systemd: over the bus, or over systemd's own socket where there is no bus.
//!
//! One socket, one call at a time, no thread: pinfold has one until clone3. Every answer is waited
//! for with a deadline. On a bus anybody may send a message to anybody, so only what the owner of
//! systemd's name sends is listened to; the bus itself vouches for the sender
//! (D-Bus specification, "Message Bus Message Routing").

use std::ffi::OsString;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::message::{self, Kind, Message, Method, PROLOGUE};
use super::wire::{Reader, Value, Writer, malformed};
use crate::error::{Context, Error, Result};

/// How long systemd may take for a call or a job; runc waits as long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The longest line of the authentication.
const LINE: usize = 1024;

const BUS_NAME: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// Whose systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// The system's.
    System,
    /// The caller's own.
    User,
}

/// Where to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Path(OsString),
    Abstract(Vec<u8>),
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// A bus, on which systemd has a name.
    Bus,
    /// systemd itself.
    Direct,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    serial: u32,
    /// systemd's unique name; empty on a direct connection, where nobody else can speak.
    systemd: String,
    /// Signals that came while an answer was waited for.
    signals: Vec<Message>,
    peer: Peer,
}

/// What a call came to.
#[derive(Debug)]
pub(super) enum Answer {
    Return(Message),
    /// The error's name, and its text.
    Refused(String, String),
}

impl Answer {
    /// What was asked for.
    pub fn returned(self, method: &str) -> Result<Message> {
        match self {
            Self::Return(message) => Ok(message),
            Self::Refused(name, text) => Err(Error::setup(format!("{method}: {text} ({name})"))),
        }
    }
}

impl Bus {
    /// Connects: to the bus, and where there is none to systemd's own socket.
    ///
    /// # Errors
    /// Neither is there; systemd is not on the bus.
    pub fn connect(instance: Instance) -> Result<Self> {
        let mut failed = None;
        for (peer, address) in addresses(instance, |name| std::env::var_os(name))? {
            match open(&address).and_then(|stream| Self::over(stream, peer)) {
                Ok(bus) => return Ok(bus),
                Err(error) => failed = failed.or(Some(error.object(shown(&address)))),
            }
        }
        let error = failed.unwrap_or_else(|| Error::setup("no bus of systemd's is known"));
        Err(error.field("--systemd-cgroup").hint(match instance {
            Instance::System => "is systemd the init of this machine, and its bus mounted here (/run/dbus)?",
            Instance::User => {
                "a user's systemd is found by DBUS_SESSION_BUS_ADDRESS or XDG_RUNTIME_DIR: log in, or \
                 `loginctl enable-linger`, and set XDG_RUNTIME_DIR=/run/user/UID"
            }
        }))
    }

    /// Speaks over a stream that is connected.
    pub fn over(stream: UnixStream, peer: Peer) -> Result<Self> {
        let mut bus = Self { stream, serial: 0, systemd: String::new(), signals: vec![], peer };
        bus.authenticate()?;
        if peer == Peer::Bus {
            bus.call_bus("Hello", &[])?.returned("Hello")?;
            bus.systemd = bus.owner()?;
            let rule = format!(
                "type='signal',sender='{SYSTEMD}',path='/org/freedesktop/systemd1',\
                 interface='{SYSTEMD}.Manager',member='JobRemoved'"
            );
            bus.call_bus("AddMatch", &[Value::Text(rule)])?.returned("AddMatch")?;
        }
        Ok(bus)
    }

    /// SASL's EXTERNAL (RFC 4422) without a name: we are who the kernel says that we are, in the
    /// other side's user namespace. All at once, as sd-bus does: its other side does not look
    /// again at a call that it has read together with BEGIN.
    fn authenticate(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        let mut line = self.line(until)?;
        if line.starts_with("DATA") {
            line = self.line(until)?;
        }
        match line.starts_with("OK ") {
            true => Ok(()),
            false => Err(Error::setup(format!("the bus does not let us in: {}", line.escape_debug()))),
        }
    }

    fn line(&mut self, until: Instant) -> Result<String> {
        let mut line = vec![];
        while !line.ends_with(b"\r\n") {
            if line.len() >= LINE {
                return Err(malformed("a line that is too long"));
            }
            let mut byte = [0];
            self.receive(&mut byte, until)?;
            line.extend(byte);
        }
        line.truncate(line.len().saturating_sub(2));
        String::from_utf8(line).map_err(|error| malformed(&error.to_string()))
    }

    /// The unique name of systemd, which joins a user's bus only when somebody asks for it.
    fn owner(&mut self) -> Result<String> {
        let owner = match self.call_bus("GetNameOwner", &[Value::Text(SYSTEMD.to_owned())])? {
            Answer::Refused(name, _) if name == "org.freedesktop.DBus.Error.NameHasNoOwner" => {
                let start = [Value::Text(SYSTEMD.to_owned()), Value::Uint32(0)];
                self.call_bus("StartServiceByName", &start)?.returned("StartServiceByName")?;
                self.call_bus("GetNameOwner", &[Value::Text(SYSTEMD.to_owned())])?
            }
            other => other,
        };
        let message = owner.returned("GetNameOwner")?;
        Reader::new(&message.body).text().map(str::to_owned)
    }

    fn call_bus(&mut self, member: &str, values: &[Value]) -> Result<Answer> {
        let method = Method { destination: BUS_NAME, path: BUS_PATH, interface: BUS_NAME, member };
        let signature: String = values.iter().map(Value::signature).collect();
        let mut body = Writer::default();
        values.iter().for_each(|value| body.value(value));
        self.exchange(method, &signature, &body.into_bytes(), BUS_NAME)
    }

    /// Calls one of systemd's methods; `interface` is without systemd's own part.
    pub fn call(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let destination = if self.peer == Peer::Bus { SYSTEMD } else { "" };
        let owner = self.systemd.clone();
        self.exchange(Method { destination, path, interface, member }, signature, body, &owner)
    }

    fn exchange(&mut self, method: Method<'_>, signature: &str, body: &[u8], from: &str) -> Result<Answer> {
        let until = Instant::now() + PATIENCE;
        self.serial = self.serial.wrapping_add(1).max(1);
        let serial = self.serial;
        self.send(&message::call(serial, method, signature, body))?;
        loop {
            let message = self.next(until)?;
            match message.kind {
                Kind::Return | Kind::Error if message.reply_to == Some(serial) => {
                    // The bus itself answers for a name that nobody has.
                    let by_bus = message.kind == Kind::Error && message.sender == BUS_NAME;
                    if self.peer == Peer::Bus && message.sender != from && !by_bus {
                        continue;
                    }
                    return Ok(match message.kind {
                        Kind::Return => Answer::Return(message),
                        _ => refused(message),
                    });
                }
                Kind::Signal if self.is_systemds(&message) => self.signals.push(message),
                _ => {}
            }
        }
    }

    fn is_systemds(&self, message: &Message) -> bool {
        let from_systemd = self.peer == Peer::Direct || message.sender == self.systemd;
        from_systemd && message.interface.starts_with(SYSTEMD)
    }

    /// The first signal of systemd's of that name for which `pick` has something.
    ///
    /// # Errors
    /// None comes in time; the connection ends.
    pub fn await_signal<T>(
        &mut self,
        member: &str,
        pick: impl Fn(&Message) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let until = Instant::now() + PATIENCE;
        for message in std::mem::take(&mut self.signals) {
            if message.member == member
                && let Some(found) = pick(&message)?
            {
                return Ok(Some(found));
            }
        }
        loop {
            let message = match self.next(until) {
                Err(error) if error.errno() == Some(Errno::ETIMEDOUT) => return Ok(None),
                other => other?,
            };
            if message.kind == Kind::Signal
                && message.member == member
                && self.is_systemds(&message)
                && let Some(found) = pick(&message)?
            {
                return Ok(Some(found));
            }
        }
    }

    fn next(&mut self, until: Instant) -> Result<Message> {
        let mut bytes = vec![0; PROLOGUE];
        self.receive(&mut bytes, until)?;
        bytes.resize(message::size(&bytes)?, 0);
        self.receive(bytes.get_mut(PROLOGUE..).unwrap_or_default(), until)?;
        message::read(&bytes)
    }

    fn receive(&mut self, buffer: &mut [u8], until: Instant) -> Result<()> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(late());
            }
            self.stream.set_read_timeout(Some(left)).map_err(|error| io("setsockopt", &error))?;
            match self.stream.read(rest) {
                Ok(0) => return Err(Error::setup("the bus closed the connection")),
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(late()),
                Err(error) => return Err(io("recv", &error)),
            }
        }
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.set_write_timeout(Some(PATIENCE)).map_err(|error| io("setsockopt", &error))?;
        self.stream.write_all(bytes).map_err(|error| io("send", &error))
    }
}

fn late() -> Error {
    Error::call("recv", Errno::ETIMEDOUT).hint(format!("systemd did not answer for {} s", PATIENCE.as_secs()))
}

fn io(call: &str, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(number) => Error::call(call, Errno::from_raw(number)),
        None => Error::setup(format!("{call}: {error}")),
    }
}

fn refused(message: Message) -> Answer {
    let text = match message.signature.starts_with('s') {
        true => Reader::new(&message.body).text().unwrap_or_default().to_owned(),
        false => String::new(),
    };
    Answer::Refused(message.error, text)
}

/// In the order in which they are tried. For root they are fixed places that only root can make:
/// its environment may be a caller's.
fn addresses(
    instance: Instance,
    environment: impl Fn(&str) -> Option<OsString>,
) -> Result<Vec<(Peer, Address)>> {
    if instance == Instance::System {
        return Ok(vec![
            (Peer::Bus, Address::Path("/run/dbus/system_bus_socket".into())),
            (Peer::Direct, Address::Path("/run/systemd/private".into())),
        ]);
    }
    let runtime = environment("XDG_RUNTIME_DIR").filter(|path| !path.is_empty());
    let below = |name: &str| {
        runtime.clone().map(|mut path| {
            path.push(name);
            Address::Path(path)
        })
    };
    let mut all = vec![];
    if let Some(text) = environment("DBUS_SESSION_BUS_ADDRESS").filter(|text| !text.is_empty()) {
        let text = text.into_string().map_err(|_lossy| Error::usage("is not UTF-8"));
        all.extend(listed(&text.at("DBUS_SESSION_BUS_ADDRESS")?)?.into_iter().map(|one| (Peer::Bus, one)));
    }
    all.extend(below("/bus").map(|address| (Peer::Bus, address)));
    all.extend(below("/systemd/private").map(|address| (Peer::Direct, address)));
    Ok(all)
}

/// The unix sockets of a list of addresses (D-Bus specification, "Server Addresses").
fn listed(text: &str) -> Result<Vec<Address>> {
    let mut found = vec![];
    for keys in text.split(';').filter_map(|one| one.strip_prefix("unix:")) {
        for (key, value) in keys.split(',').filter_map(|pair| pair.split_once('=')) {
            match key {
                "path" => found.push(Address::Path(plain(value)?.into())),
                "abstract" => found.push(Address::Abstract(plain(value)?.into_bytes())),
                _ => {}
            }
        }
    }
    Ok(found)
}

/// Undoes the escapes `%XX` of an address.
fn plain(value: &str) -> Result<String> {
    let refused = || Error::usage("is no address of a bus").object(value).field("DBUS_SESSION_BUS_ADDRESS");
    let mut bytes = vec![];
    let mut rest = value;
    while let Some((before, escaped)) = rest.split_once('%') {
        bytes.extend(before.as_bytes());
        let digits = escaped.get(..2).ok_or_else(refused)?;
        bytes.push(u8::from_str_radix(digits, 16).or(Err(refused()))?);
        rest = escaped.get(2..).unwrap_or_default();
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8(bytes).or(Err(refused()))
}

fn open(address: &Address) -> Result<UnixStream> {
    let connected = match address {
        Address::Path(path) => UnixStream::connect(path),
        Address::Abstract(name) => {
            SocketAddr::from_abstract_name(name).and_then(|address| UnixStream::connect_addr(&address))
        }
    };
    connected.map_err(|error| io("connect", &error))
}

fn shown(address: &Address) -> String {
    match address {
        Address::Path(path) => path.to_string_lossy().into_owned(),
        Address::Abstract(name) => format!("@{}", String::from_utf8_lossy(name)),
    }
}

pub(super) fn one_text(value: &str) -> Vec<u8> {
    let mut body = Writer::default();
    body.value(&Value::Text(value.to_owned()));
    body.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_of(instance: Instance, environment: &[(&str, &str)]) -> Vec<String> {
        let find = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(*value))
        };
        addresses(instance, find)
            .unwrap()
            .iter()
            .map(|(peer, address)| format!("{peer:?} {}", shown(address)))
            .collect()
    }

    #[test]
    fn a_user_s_systemd_is_where_the_environment_says() {
        let bus = ("DBUS_SESSION_BUS_ADDRESS", "tcp:host=x;unix:path=/a%20b,guid=1;unix:abstract=/t");
        assert_eq!(
            shown_of(Instance::User, &[bus, ("XDG_RUNTIME_DIR", "/run/user/7")]),
            ["Bus /a b", "Bus @/t", "Bus /run/user/7/bus", "Direct /run/user/7/systemd/private"]
        );
        assert!(shown_of(Instance::User, &[("XDG_RUNTIME_DIR", "")]).is_empty());
        for text in ["unix:path=/a%", "unix:path=%zz", "unix:path=%ff"] {
            assert!(listed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn for_root_the_environment_says_nothing() {
        let hostile = [("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/tmp/x"), ("XDG_RUNTIME_DIR", "/tmp/x")];
        let fixed = ["Bus /run/dbus/system_bus_socket", "Direct /run/systemd/private"];
        assert_eq!(shown_of(Instance::System, &hostile), fixed);
    }
}
