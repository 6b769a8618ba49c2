//! The first page of help: every verb on one line, in groups.

/// The layout of `pinfold --help`. Clap's own list of subcommands knows no groups.
pub(super) const TEMPLATE: &str = "{about}\n\n{usage-heading} {usage}{after-help}\n\nOptions:\n{options}\n";

/// The verbs by group; a test holds it to the texts of the verbs themselves.
pub(super) const VERBS: &str = "\
OCI:
  create      Create a container from a bundle; its program waits for `start`
  start       Let the program of a created container run
  state       Print the state of a container as JSON
  kill        Send a signal to a container's first process
  delete      Remove a stopped container and all that create made
  run         Create a container, run its program and remove it
  exec        Run a further program in a running container
  list        List the containers below --root
  ps          List the processes of a container
  pause       Freeze all processes of a container
  resume      Let a paused container go on
  update      Change the resource limits of a container
  events      Print statistics and out-of-memory events of a container
  spec        Write a config.json to start from
  features    Print what this runtime implements as JSON

Sandbox:
  sandbox     Run one untrusted program with secure defaults

Understand:
  explain     Print what a launch would do, step by step
  lint        Say what is dangerous in a bundle's configuration
  doctor      Check whether this host can run sandboxes, and say how to fix it
  selftest    Try to escape from containers, of this runtime or of another
  surface     Say what a process in a container can reach

Rule:
  policy      Write and check the host's policy, and judge bundles by it
  audit       Verify, show and export the audit log
  lockdown    Refuse every launch, exec, start and update until it is lifted

Images:
  image       Bring images in, look at them, hand them out

Care:
  gc          Remove what dead launches left behind
  completion  Print the completion script of a shell
  man         Print or write the manual pages

`pinfold VERB --help` tells the options of a verb.
";
