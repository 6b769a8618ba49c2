//! A container's scope: made, changed and ended by systemd (org.freedesktop.systemd1(5)).
//!
//! Only systemd may write in the part of the cgroup tree that it manages (its "Control Group APIs and
//! Delegation"), so it makes the group, around a process that waits; the group itself is delegated
//! to pinfold. What systemd says is not proof of anything: the caller looks at the kernel's files.

use nix::unistd::Pid;

use super::bus::{Answer, Bus, Instance, PATIENCE};
use super::message::Message;
use super::properties::Property;
use super::unit::Unit;
use super::wire::{Reader, Value, Writer};
use crate::cgroup::CgroupPath;
use crate::error::{Error, Result};

const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const NO_SUCH_UNIT: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNIT_EXISTS: &str = "org.freedesktop.systemd1.UnitExists";

/// A connection to a systemd.
#[derive(Debug)]
pub struct Systemd(Bus);

impl Systemd {
    /// Connects to the system's, or to the caller's own.
    ///
    /// # Errors
    /// There is none that could be reached.
    pub fn connect(instance: Instance) -> Result<Self> {
        Bus::connect(instance).map(Self)
    }

    #[cfg(test)]
    pub(super) fn over(bus: Bus) -> Self {
        Self(bus)
    }

    /// Where the unit's cgroup will be.
    ///
    /// # Errors
    /// systemd does not answer.
    pub fn cgroup(&mut self, unit: &Unit) -> Result<CgroupPath> {
        let mut body = Writer::default();
        body.text(MANAGER);
        body.text("ControlGroup");
        let answer = self.0.call(PATH, PROPERTIES, "Get", "ss", &body.into_bytes())?;
        let message = answer.returned("Properties.Get")?;
        let root = Reader::new(&message.body).text_variant()?;
        unit.cgroup(root.trim_end_matches('/'))
    }

    /// Starts the scope around `pid`.
    ///
    /// # Errors
    /// systemd refuses it: a property that it does not know, a unit of that name that lives.
    pub fn start(&mut self, unit: &Unit, pid: Pid, properties: &[Property]) -> Result<()> {
        let pid = Value::Uint32s(vec![pid.as_raw().cast_unsigned()]);
        let body = transient(unit, &pid, properties);
        for attempt in 0..2 {
            let answer = self.0.call(PATH, MANAGER, "StartTransientUnit", "ssa(sv)a(sa(sv))", &body)?;
            match answer {
                // One of that name that failed is only remembered.
                Answer::Refused(name, _) if name == UNIT_EXISTS && attempt == 0 => self.forget(unit)?,
                Answer::Refused(name, text) if name == UNIT_EXISTS => {
                    let error = Error::setup(text).field("/linux/cgroupsPath").object(&unit.name);
                    return Err(error.hint("another container, or something else, has a unit of that name"));
                }
                answer => return self.finish("StartTransientUnit", answer, unit),
            }
        }
        Ok(())
    }

    /// Changes properties of the unit until it ends.
    ///
    /// # Errors
    /// systemd refuses it.
    pub fn set(&mut self, unit: &Unit, properties: &[Property]) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let mut body = Writer::default();
        body.text(&unit.name);
        body.value(&Value::Bool(true));
        list(&mut body, properties);
        let answer = self.0.call(PATH, MANAGER, "SetUnitProperties", "sba(sv)", &body.into_bytes())?;
        answer.returned("SetUnitProperties").map(|_| ()).map_err(|error| error.object(&unit.name))
    }

    /// Stops the unit, and has it forgotten. One that is gone is no error.
    ///
    /// # Errors
    /// systemd cannot stop it.
    pub fn stop(&mut self, unit: &Unit) -> Result<()> {
        let mut body = Writer::default();
        body.text(&unit.name);
        body.text("replace");
        match self.0.call(PATH, MANAGER, "StopUnit", "ss", &body.into_bytes())? {
            Answer::Refused(name, _) if name == NO_SUCH_UNIT => return Ok(()),
            answer => self.finish("StopUnit", answer, unit)?,
        }
        self.forget(unit)
    }

    fn forget(&mut self, unit: &Unit) -> Result<()> {
        let body = super::bus::one_text(&unit.name);
        match self.0.call(PATH, MANAGER, "ResetFailedUnit", "s", &body)? {
            Answer::Refused(name, _) if name == NO_SUCH_UNIT => Ok(()),
            answer => {
                answer.returned("ResetFailedUnit").map(|_| ()).map_err(|error| error.object(&unit.name))
            }
        }
    }

    /// Waits until the job is done that a call has started.
    fn finish(&mut self, method: &str, answer: Answer, unit: &Unit) -> Result<()> {
        let message = answer.returned(method).map_err(|error| error.object(&unit.name))?;
        let job = Reader::new(&message.body).text()?.to_owned();
        let result = self.0.await_signal("JobRemoved", |signal| result_of(signal, &job))?;
        match result.as_deref() {
            Some("done") => Ok(()),
            Some(other) => {
                Err(Error::setup(format!("{method}: systemd's job ended as {other:?}")).object(&unit.name))
            }
            None => {
                let text = format!("{method}: systemd's job has not ended after {} s", PATIENCE.as_secs());
                Err(Error::setup(text).object(&unit.name))
            }
        }
    }
}

/// `JobRemoved(u id, o job, s unit, s result)`.
fn result_of(signal: &Message, job: &str) -> Result<Option<String>> {
    let mut reader = Reader::new(&signal.body);
    reader.u32()?;
    if reader.text()? != job {
        return Ok(None);
    }
    reader.text()?;
    reader.text().map(|result| Some(result.to_owned()))
}

/// The arguments of StartTransientUnit.
fn transient(unit: &Unit, pid: &Value, properties: &[Property]) -> Vec<u8> {
    let text = |value: &str| Value::Text(value.to_owned());
    let fixed = [
        ("Description", text(&format!("container {}", unit.name))),
        ("Slice", text(&unit.slice)),
        ("PIDs", pid.clone()),
        // Its group is pinfold's to shape, and systemd leaves it alone.
        ("Delegate", Value::Bool(true)),
        // It is nobody's at boot or shutdown, as with runc.
        ("DefaultDependencies", Value::Bool(false)),
        ("CPUAccounting", Value::Bool(true)),
        ("IOAccounting", Value::Bool(true)),
        ("MemoryAccounting", Value::Bool(true)),
        ("TasksAccounting", Value::Bool(true)),
        // A container that was killed leaves no unit to be cleared away.
        ("CollectMode", text("inactive-or-failed")),
    ];
    let asked = |name: &str| properties.iter().any(|(known, _)| known == name);
    let fixed = fixed.into_iter().filter(|(name, _)| !asked(name));
    let all: Vec<Property> =
        fixed.map(|(name, value)| (name.to_owned(), value)).chain(properties.to_vec()).collect();
    let mut body = Writer::default();
    body.text(&unit.name);
    body.text("replace");
    list(&mut body, &all);
    body.array(8, |_| ());
    body.into_bytes()
}

/// `a(sv)`.
fn list(body: &mut Writer, properties: &[Property]) {
    body.array(8, |to| {
        for (name, value) in properties {
            to.align(8);
            to.text(name);
            to.variant(value);
        }
    });
}
