"""The calls of the API that begin tasks: power, snapshots, backup, copies, all VMs at once.

Registered by being imported (api.py, cli.py). What a task does is in start.py and copies.py.
"""
import functools

import copies
import schema
import start
import tasks
import update
from node import PveError, param_error
from routes import COUNT, FLAG, TEXT, ha_read, ha_write, route

POWER = ("/vms/{vmid}", "VM.PowerMgmt")
START_PARAMS = {"skiplock": FLAG, "stateuri": TEXT, "migratedfrom": TEXT, "migration_type": TEXT,
                "machine": TEXT, "force-cpu": TEXT, "targetstorage": TEXT, "timeout": COUNT,
                "migration_network": TEXT, "nets-host-mtu": TEXT, "with-conntrack-state": FLAG}
STOP_PARAMS = {"skiplock": FLAG, "timeout": COUNT, "forceStop": FLAG, "keepActive": FLAG,
               "overrule-shutdown": FLAG, "migratedfrom": TEXT}
ROOT_PARAMS = ("skiplock", "stateuri", "migratedfrom", "migration_type", "targetstorage",
               "keepActive")


def power(action, kind, work, params, ha=None):
    """status/ACTION: a task of its own kind; for a HA-managed VM only a request to HA."""
    @route("POST", "/nodes/{node}/qemu/{vmid}/status/" + action, need=POWER, params=params,
           daemon=True)
    def handler(call):
        for name in ROOT_PARAMS:
            if name in call.params and not call.auth.is_root:
                raise param_error(**{name: "Only root may use this option."})
        if action == "start":
            call.node.check_quorum()
        found = ha_read(call.node)[0]
        if ha and call.vmid in found:
            return call.worker("ha" + action, lambda log: ha_request(call, action, ha, found, log))
        return work(call, kind)
    return handler


def ha_request(call, action, state, found, log):
    log(f"Requesting HA {action} for VM {call.vmid}")
    ha_write(call.node, {**found, call.vmid: state})


def timeout_of(call):
    return int(call.params["timeout"]) if "timeout" in call.params else None


def simple(work):
    """A task that runs work(node, vmid, log, caller)."""
    def make(call, kind):
        return call.worker(kind, lambda log: work(call.node, call.vmid, log, start.Caller()))
    return make


def do_shutdown(call, kind):
    return call.worker(kind, lambda log: start.shutdown(
        call.node, call.vmid, log, start.Caller(), timeout_of(call), call.flag("forceStop")))


def do_reboot(call, kind):
    return call.worker(kind, lambda log: start.reboot(
        call.node, call.vmid, log, start.Caller(), timeout_of(call)))


def do_suspend(call, kind):
    if call.flag("todisk"):
        return simple(start.suspend)(call, "qmsuspend")
    return simple(start.pause)(call, kind)


power("start", "qmstart", simple(start.start), START_PARAMS, ha="started")
power("stop", "qmstop", simple(start.stop), STOP_PARAMS, ha="stopped")
power("shutdown", "qmshutdown", do_shutdown, STOP_PARAMS, ha="stopped")
power("reboot", "qmreboot", do_reboot, {"timeout": COUNT})
power("reset", "qmreset", simple(start.reset), {"skiplock": FLAG})
power("suspend", "qmpause", do_suspend, {"skiplock": FLAG, "todisk": FLAG, "statestorage": TEXT})
power("resume", "qmresume", simple(start.resume), {"skiplock": FLAG, "nocheck": FLAG})


@route("POST", "/nodes/{node}/qemu/{vmid}/snapshot", need=("/vms/{vmid}", "VM.Snapshot"),
       daemon=True,
       params={"snapname": TEXT, "vmstate": FLAG, "description": TEXT})
def make_snapshot(call):
    return call.worker("qmsnapshot", lambda log: start.snapshot(
        call.node, call.vmid, call.params["snapname"], call.flag("vmstate"), log))


@route("POST", "/nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback", daemon=True,
       need=("/vms/{vmid}", "VM.Snapshot", "VM.Snapshot.Rollback"), params={"start": FLAG})
def do_rollback(call):
    return call.worker("qmrollback", lambda log: rollback_task(
        call.node, call.vmid, call.uri["snapname"], call.flag("start"), log, start.Caller(),
        call.auth.name))


def rollback_task(node, vmid, name, then_start, log, caller, user):
    """A start after a rollback without RAM is a task of its own, below this one."""
    if start.rollback(node, vmid, name, log, caller) or not then_start:
        return
    upid, pid = tasks.spawn(node, "qmstart", vmid, user,
                            lambda inner: start.start(node, vmid, inner, caller), cli=caller.cli)
    tasks.wait(pid)
    status = tasks.exit_status(node, upid)
    if status != "OK":
        raise PveError(status + "\n")


@route("POST", "/nodes/{node}/vzdump", daemon=True, params={
    "vmid": TEXT, "mode": schema.enum("snapshot", "suspend", "stop"), "storage": TEXT,
    "compress": TEXT, "remove": FLAG, "stopwait": COUNT})
def vzdump(call):
    vmid = int(call.params["vmid"])
    call.auth.need(f"/vms/{vmid}", "VM.Backup")
    return call.worker("vzdump", lambda log: start.backup(
        call.node, vmid, call.params.get("mode", "snapshot"), log, start.Caller()), ident=vmid)


@route("POST", "/nodes/{node}/qemu/{vmid}/clone", need=("/vms/{vmid}", "VM.Clone"), daemon=True,
       params={"newid": COUNT, "full": FLAG, "name": TEXT})
def do_clone(call):
    return call.worker("qmclone", lambda log: copies.clone(
        call.node, call.vmid, int(call.params["newid"]), call.params.get("name"),
        call.flag("full"), log))


@route("POST", "/nodes/{node}/qemu/{vmid}/template", need=("/vms/{vmid}", "VM.Allocate"),
       daemon=True)
def do_template(call):
    return call.worker("qmtemplate", lambda log: copies.template(call.node, call.vmid))


@route("DELETE", "/nodes/{node}/qemu/{vmid}", need=("/vms/{vmid}", "VM.Allocate"), daemon=True,
       params={"purge": FLAG, "skiplock": FLAG})
def do_destroy(call):
    return call.worker("qmdestroy", lambda log: copies.destroy(call.node, call.vmid))


@route("POST", "/nodes/{node}/qemu", daemon=True, params={
    "vmid": COUNT, "archive": TEXT, "start": FLAG, "unique": FLAG, "force": FLAG, "storage": TEXT})
def do_restore(call):
    vmid = int(call.params["vmid"])
    call.auth.need(f"/vms/{vmid}", "VM.Allocate")
    if "archive" not in call.params:
        raise PveError("a new VM without an archive is not simulated\n")

    def work(log):
        copies.restore(call.node, call.params["archive"], vmid, call.flag("unique"),
                       call.flag("force"), log)
        if call.flag("start"):
            log("Execute autostart")        # nobody waits for it: it outlives this worker
            tasks.spawn(call.node, "qmstart", vmid, call.auth.name, lambda inner: start.start(
                call.node, vmid, inner, start.Caller()))
    return call.worker("qmrestore", work, ident=vmid)


@route("POST", "/nodes/{node}/startall", daemon=True, params={"vms": TEXT, "force": FLAG})
def startall(call):
    return call.worker("startall", lambda log: each_vm(
        call, log, "qmstart", "Starting VM {vmid}", lambda vmid, inner: start.start(
            call.node, vmid, inner, start.Caller())), ident="")


@route("POST", "/nodes/{node}/stopall", daemon=True,
       params={"vms": TEXT, "timeout": COUNT, "force-stop": FLAG})
def stopall(call):
    timeout = int(call.params.get("timeout", 180))
    return call.worker("stopall", lambda log: each_vm(
        call, log, "qmshutdown", f"Stopping VM {{vmid}} (timeout = {timeout} seconds)",
        lambda vmid, inner: start.shutdown(call.node, vmid, inner, start.Caller(), timeout,
                                           call.flag("force-stop", True))), ident="")


def each_vm(call, log, kind, sentence, work):
    wanted = update.split_list(call.params.get("vms")) or call.node.vmids()
    for vmid in (int(v) for v in wanted):
        log(sentence.format(vmid=vmid))
        _, pid = tasks.spawn(call.node, kind, vmid, call.auth.name, functools.partial(work, vmid))
        tasks.wait(pid)
