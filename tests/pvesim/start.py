"""Start, stop, shutdown and all the other ways into the hookscript, phase by phase.

The law this file must not break (recordings 02b, 08*, 09*, hook-context-*): a start reads the
configuration ONCE, applies [PENDING], runs pre-start, and builds QEMU from the copy it read BEFORE
the hook. The VM's flock is held from the first read to the end of the last phase.

Every function runs in a task worker (`log` writes its log) and raises PveError for what ends the
task.
"""
import contextlib
import os
import re
import selectors
import subprocess
import time
import uuid

import config
import copies
import tasks
import update
from node import LockTimeout, PveError, backend, create_image

SHUTDOWN_TIMEOUT = 180      # seconds, when the request names none
CLEANUP_TIMEOUT = 30        # seconds that `qm cleanup` waits for a QEMU to end
LOCK_GRACE = 30             # a start with a slow hook may hold the flock before it
STATE_KEYS = ("lock", "vmstate", "runningmachine", "runningcpu")

# What systemd gives pvedaemon and so reaches every hook that an API call runs (recorded).
DAEMON_ENV = {
    "LANG": "C.UTF-8", "USER": "root", "PIDFILE": "/run/pvedaemon.pid",
    "JOURNAL_STREAM": "9:164952", "INVOCATION_ID": uuid.uuid4().hex, "SYSTEMD_EXEC_PID": "87",
    "PVE_DAEMON_LOCK_FD": "4",
    "PVE_DAEMON_SOCKET_85": "6"}


class Caller:
    """Who runs the hook: a daemon (own environment, cwd /) or a shell (its environment and cwd)."""

    def __init__(self, cli=False):
        self.cli = cli
        self.migratedfrom = None        # a start sets it, later phases of the same process keep it

    def environment(self):
        env = dict(os.environ) if self.cli else dict(DAEMON_ENV)
        env.update(PATH="/sbin:/bin:/usr/sbin:/usr/bin", LC_ALL="C", LVM_SUPPRESS_FD_WARNINGS="1")
        if self.migratedfrom is not None:
            env["PVE_MIGRATED_FROM"] = self.migratedfrom
        return env

    def cwd(self):
        return None if self.cli else "/"


# -- the hookscript ------------------------------------------------------------------------------

def run_hook(node, vmid, conf, phase, log, caller):
    """One phase. Only pre-start can fail; elsewhere a failure is two lines in the log."""
    volid = conf.main.get("hookscript")
    if not volid:
        return
    try:
        _hook(node, vmid, volid, phase, log, caller)
    except PveError as e:
        text = f"hookscript error for {vmid} on {phase}: {e.message}\n"
        if phase == "pre-start":
            raise PveError(text) from None
        log(text)


def _hook(node, vmid, volid, phase, log, caller):
    script = node.volume_path(volid)
    if not os.path.isfile(script):
        raise PveError(f"script '{volid}' does not exist\n")
    if not os.access(script, os.X_OK):
        raise PveError(f"script '{volid}' is not executable\n")
    entry = {"vmid": vmid, "phase": phase, "t_start": time.monotonic(), "script": node.show(script),
             "task": own_title(), "migratedfrom": caller.migratedfrom,
             "lock": _lock_in_file(node, vmid)}
    command = f"command '{node.show(script)} {vmid} {phase}' failed: "
    code = None
    try:
        child = subprocess.Popen([script, str(vmid), phase], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=caller.cwd(),
                                 env=caller.environment())
        entry["pid"] = child.pid
        child.stdin.close()
        _copy_output(child, log)
        code = child.wait()
    except OSError as e:
        raise PveError(f"{command}{e.strerror}\n") from None
    finally:
        node.record("hook-calls", {**entry, "t_end": time.monotonic(), "exit": code})
    if code:
        why = f"exit code {code}" if code > 0 else f"got signal {-code}"
        raise PveError(f"{command}{why}\n")


def own_title():
    with open("/proc/self/cmdline", "rb") as f:
        return f.read().rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace")


def _lock_in_file(node, vmid):
    with contextlib.suppress(PveError):
        return config.load(node, vmid).main.get("lock")
    return None


def _copy_output(child, log):
    """stdout and stderr to the log as they come, whole lines each, merged in order of arrival."""
    rest = {child.stdout: b"", child.stderr: b""}
    with selectors.DefaultSelector() as selector:
        for stream in rest:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                stream = key.fileobj
                data = os.read(stream.fileno(), 65536)
                *lines, rest[stream] = (rest[stream] + data).split(b"\n")
                for line in lines:
                    log(line + b"\n")
                if not data:
                    selector.unregister(stream)
                    stream.close()
                    if rest[stream]:
                        log(rest[stream])


# -- start ---------------------------------------------------------------------------------------

def start(node, vmid, log, caller, migratedfrom="", skiplock=False):
    with node.flock(vmid, log):
        start_locked(node, vmid, log, caller, migratedfrom, skiplock)


def start_locked(node, vmid, log, caller, migratedfrom="", skiplock=False):
    source = migratedfrom if migratedfrom else None
    conf = config.load(node, vmid, log, source)
    if conf.main.get("template"):
        raise PveError("you can't start a vm if it's a template\n")
    suspended = conf.main.get("lock") == "suspended"
    if not (skiplock or suspended):
        config.check_lock(conf)
    if backend(node).pid(node, vmid):
        raise PveError(f"VM {vmid} already running\n")
    if conf.has_pending() and not source:
        update.apply_pending(node, vmid, conf)
        config.save(node, vmid, conf)
    caller.migratedfrom = migratedfrom
    run_hook(node, vmid, conf, "pre-start", log, caller)
    _launch(node, vmid, conf, log, suspended, source)
    run_hook(node, vmid, conf, "post-start", log, caller)


def _launch(node, vmid, conf, log, suspended, source):
    """QEMU from `conf`, the copy read before the hook; what the hook wrote is not looked at."""
    with contextlib.suppress(PveError):
        config.load(node, vmid, log, source)        # PVE reads (and warns) again, and uses nothing
    for slot in sorted(conf.main):
        if update.has_image(slot, conf.main[slot]):
            node.volume_size(config.volume_of(conf.main[slot]))
    if suspended:
        log("Resuming suspended VM")
        if "vmstate" in conf.main:
            log(f"activating and using '{conf.main['vmstate']}' as vmstate")
    _run_qemu(node, vmid, conf.main, log)
    if suspended:
        _forget_state(node, vmid, conf, log)
    _mark_cleanup(node, vmid, True)


def _run_qemu(node, vmid, main, log):
    module = backend(node)
    try:
        module.start(node, vmid, main)
    except module.QemuError as e:
        for line in getattr(e, "output", ()):
            log(node.show(line))
        raise PveError(node.show(str(e)) + "\n") from None


def _forget_state(node, vmid, conf, log):
    """After a resume the copy from before the hook is written back: the hook's edits are lost."""
    log("Resumed VM, removing state")
    if "vmstate" in conf.main:
        with contextlib.suppress(OSError, PveError):
            os.unlink(node.volume_path(conf.main["vmstate"]))
    for key in STATE_KEYS:
        conf.main.pop(key, None)
    config.save(node, vmid, conf)


# -- stop ----------------------------------------------------------------------------------------

def stop(node, vmid, log, caller, skiplock=False):
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        if not skiplock:
            config.check_lock(conf)
        stop_locked(node, vmid, conf, log, caller)


def stop_locked(node, vmid, conf, log, caller):
    """pre-stop, end of QEMU, pending changes, post-stop. Nothing at all for a stopped VM."""
    if backend(node).pid(node, vmid):
        run_hook(node, vmid, conf, "pre-stop", log, caller)
        _mark_cleanup(node, vmid, False)
        backend(node).stop(node, vmid, 10)
        after_stop(node, vmid, log, caller)


def _mark_cleanup(node, vmid, wanted):
    """Whether `qm cleanup` shall run the last phase if QEMU ends now; else whoever ends it does."""
    path = node.run_file(vmid, "cleanup")
    if wanted:
        with open(path, "w", encoding="ascii"):
            pass
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def after_stop(node, vmid, log, caller):
    _mark_cleanup(node, vmid, False)
    conf = config.load(node, vmid)
    if conf.has_pending() and "lock" not in conf.main:
        update.apply_pending(node, vmid, conf)
        config.save(node, vmid, conf)
    run_hook(node, vmid, conf, "post-stop", log, caller)


def shutdown(node, vmid, log, caller, timeout=None, force_stop=False, skiplock=False):
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        if not skiplock:
            config.check_lock(conf)
        shutdown_locked(node, vmid, conf, log, caller, timeout, force_stop)


def shutdown_locked(node, vmid, conf, log, caller, timeout=None, force_stop=False):
    module = backend(node)
    if not module.pid(node, vmid):
        return
    run_hook(node, vmid, conf, "pre-stop", log, caller)
    _mark_cleanup(node, vmid, False)
    module.powerdown(node, vmid)
    deadline = time.monotonic() + (SHUTDOWN_TIMEOUT if timeout is None else timeout)
    while module.pid(node, vmid) and time.monotonic() < deadline:
        time.sleep(0.05)
    if module.pid(node, vmid):
        if not force_stop:
            _mark_cleanup(node, vmid, True)
            raise PveError("VM quit/powerdown failed - got timeout\n")
        log("VM still running - terminating now with SIGTERM")
        module.stop(node, vmid, 10)
    after_stop(node, vmid, log, caller)


def reboot(node, vmid, log, caller, timeout=None):
    """Shut down; the restart is done by `qm cleanup`, which finds the request (cleanup)."""
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        config.check_lock(conf)
        if not backend(node).pid(node, vmid):
            raise PveError(f"VM {vmid} is not running\n")
        request = node.run_file(vmid, "reboot")
        with open(request, "w", encoding="ascii"):
            pass
        try:
            shutdown_locked(node, vmid, conf, log, caller, timeout)
        except BaseException:
            os.unlink(request)
            raise


def cleanup(node, vmid, died, start_worker):
    """`qm cleanup`: what qmeventd starts when the QEMU with pid `died` is gone."""
    race = node.settings()["cleanup_race"] == died
    if race:
        _wait_for_another(node, vmid, died)
    elif not any(os.path.exists(node.run_file(vmid, kind)) for kind in ("cleanup", "reboot")):
        return      # nothing left to do, so do not even touch the flock
    try:
        with node.flock(vmid, timeout=CLEANUP_TIMEOUT + LOCK_GRACE):
            _cleanup_locked(node, vmid, died, race)
    except LockTimeout:
        return
    request = node.run_file(vmid, "reboot")
    if os.path.exists(request):
        os.unlink(request)
        start_worker()


def _wait_for_another(node, vmid, died):
    """The unlucky instant of 08e, for certain: until a QEMU runs that was started after that one."""
    deadline = time.monotonic() + CLEANUP_TIMEOUT
    while backend(node).pid(node, vmid) in (None, died) and time.monotonic() < deadline:
        time.sleep(0.02)


def _cleanup_locked(node, vmid, died, race):
    def silent(_text):
        pass
    module = backend(node)
    pid = module.pid(node, vmid)
    if pid and not race and pid != died:
        return
    deadline = time.monotonic() + CLEANUP_TIMEOUT
    while module.pid(node, vmid):
        if time.monotonic() > deadline:
            return
        time.sleep(0.1)
    if os.path.exists(node.run_file(vmid, "cleanup")) and os.path.exists(node.conf_path(vmid)):
        after_stop(node, vmid, silent, Caller())


# -- pause, suspend to disk, resume --------------------------------------------------------------

def pause(node, vmid, log, _caller):
    with node.flock(vmid, log):
        config.check_lock(config.load(node, vmid, log))
        _qmp(node, vmid, "stop")


def suspend(node, vmid, log, _caller):
    """To disk. No RAM is saved here (the file is empty); the signs of it are those of PVE."""
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        config.check_lock(conf)
        name = f"vm-{vmid}-state-suspend-{time.strftime('%Y-%m-%d')}.raw"
        path = node.path(f"var/lib/vz/images/{vmid}/{name}")
        machine = running_machine(node, vmid)
        create_image(path, 1 << 20)
        log(f"Formatting '{node.show(path)}', fmt=raw size={1 << 20} preallocation=off")
        conf.main.update(lock="suspended", vmstate=f"local:{vmid}/{name}", runningmachine=machine)
        config.save(node, vmid, conf)
        log("State saved, quitting")
        backend(node).stop(node, vmid, 10)
        # post-stop is left to `qm cleanup`, as on a real node


def resume(node, vmid, log, caller):
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        if conf.main.get("lock") == "suspended":
            start_locked(node, vmid, log, caller)
            return
        config.check_lock(conf)
        _qmp(node, vmid, "cont")


def reset(node, vmid, log, _caller):
    with node.flock(vmid, log):
        config.check_lock(config.load(node, vmid, log))
        if not backend(node).pid(node, vmid):
            raise PveError(f"VM {vmid} not running\n")
        backend(node).reset(node, vmid)


def _qmp(node, vmid, command):
    if not backend(node).pid(node, vmid):
        raise PveError(f"VM {vmid} not running\n")
    return backend(node).qmp(node, vmid, command)


def running_machine(node, vmid):
    try:
        kind = backend(node).qmp(node, vmid, "qom-get", path="/machine", property="type")
    except Exception:       # the QEMU may be on its way out; the name is only for show
        return None
    return re.sub(r"-machine$", "", kind) + "+pve0"


# -- snapshots and backups, as far as the hook notices --------------------------------------------

def snapshot(node, vmid, name, with_ram, log):
    """A snapshot section; the image is not touched, RAM is not saved."""
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        config.check_lock(conf)
        if name in conf.snapshots:
            raise PveError(f"snapshot name '{name}' already used\n")
        section = {k: v for k, v in conf.main.items() if not re.fullmatch(r"unused\d+", k)}
        section["snaptime"] = int(time.time())
        if with_ram:
            section["runningmachine"] = running_machine(node, vmid) or "pc-q35-10.0+pve0"
            section["vmstate"] = f"local:{vmid}/vm-{vmid}-state-{name}.raw"
            create_image(node.volume_path(section["vmstate"]), 1 << 20)
        conf.snapshots[name] = section
        conf.main["parent"] = name
        config.save(node, vmid, conf)


def rollback(node, vmid, name, log, caller):
    """True if the snapshot had RAM: then the VM was started by this very worker."""
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        if name not in conf.snapshots:
            raise PveError(f"snapshot '{name}' does not exist\n")
        config.check_lock(conf)
        stop_locked(node, vmid, conf, log, caller)
        conf = config.load(node, vmid)
        section = dict(conf.snapshots[name])
        with_ram = "vmstate" in section
        for key in ("snaptime", "vmstate", "runningmachine", "runningcpu", "description"):
            section.pop(key, None)
        description = conf.main.get("description")
        conf.main = {**section, "parent": name}
        if "vmgenid" in conf.main:
            conf.main["vmgenid"] = str(uuid.uuid4())
        if description is not None:
            conf.main["description"] = description
        conf.pending, conf.pending_delete = {}, {}
        config.save(node, vmid, conf)
        if with_ram:
            start_locked(node, vmid, log, caller)
    return with_ram


def backup(node, vmid, mode, log, caller):
    """vzdump of one VM: no archive is made, the hook runs where and as it would."""
    log(f"INFO: starting new backup job: vzdump {vmid} --mode {mode} --storage local --compress 0")
    log(f"INFO: Starting Backup of VM {vmid} (qemu)")
    with node.flock(vmid, log):
        conf = config.load(node, vmid, log)
        config.check_lock(conf)
        conf.main["lock"] = "backup"
        config.save(node, vmid, conf)
    running = bool(backend(node).pid(node, vmid))
    log(f"INFO: status = {'running' if running else 'stopped'}")
    log(f"INFO: backup mode: {mode if running else 'stop'}")
    try:
        _backup_locked(node, vmid, mode, running, log, caller)
    except PveError as e:
        text = e.message.rstrip("\n")
        log(f"ERROR: {text}")
        log("INFO: aborting backup job")
        log(f"ERROR: Backup of VM {vmid} failed - {text}")
        log("INFO: Backup job finished with errors")
        raise PveError("job errors\n") from None
    finally:
        with node.flock(vmid):
            conf = config.load(node, vmid)
            conf.main.pop("lock", None)
            config.save(node, vmid, conf)
    log(f"INFO: Finished Backup of VM {vmid} (00:00:00)")
    log("INFO: Backup job finished successfully")


def _backup_locked(node, vmid, mode, running, log, caller):
    if running and mode == "stop":
        log("INFO: stopping virtual guest")
        _shutdown_for_backup(node, vmid, caller)
    if not running or mode == "stop":
        log("INFO: starting kvm to execute backup task")
        start(node, vmid, log, caller, skiplock=True)
    log(f"INFO: creating vzdump archive '{copies.archive(node, vmid, config.load(node, vmid))}'")
    log("INFO: starting backup via QMP command")
    if not running:
        log("INFO: stopping kvm after backup task")
        stop(node, vmid, log, caller, skiplock=True)


def _shutdown_for_backup(node, vmid, caller):
    """vzdump calls `qm shutdown`, which forks a task of its own."""
    def work():
        _, worker = tasks.spawn(node, "qmshutdown", vmid, "root@pam", lambda log: shutdown(
            node, vmid, log, Caller(caller.cli), timeout=60, skiplock=True))
        return tasks.wait(worker)
    command = f"qm shutdown {vmid} --skiplock --keepActive --timeout 60"
    if tasks.wait(tasks.fork(work, f"/usr/bin/perl /sbin/{command}")):
        raise PveError(f"command '{command}' failed: exit code 255\n")
