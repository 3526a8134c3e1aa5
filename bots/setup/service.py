"""Prints a unit with which systemd runs the bot: hardened, restarted after a crash, and stopped with enough time."""

import pwd
import re
import shlex
from pathlib import Path

from core.settings.environment import WrongConfig

# After the replies that are being written: to hand over what is left, and to end the private Redis.
CLOSING_SECONDS = 15
_UNIT = """\
# Save this as /etc/systemd/system/nebula-bot.service, for example:
#   {program} service | sudo tee /etc/systemd/system/nebula-bot.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now nebula-bot
# The log: journalctl -u nebula-bot. After a change of .env: sudo systemctl restart nebula-bot{note}

[Unit]
Description=Nebula Bot
Wants=network-online.target
After=network-online.target

[Service]
User={user}
WorkingDirectory={folder}
# Only what is there can be opened for writing; a folder that is there stays as it is.
ExecStartPre=+/bin/sh -c 'test -d "$$1" || install -d -m 0700 -o "$$2" "$$1"' sh {made} {user}
ExecStart={run} run
# 2 means that the configuration is wrong: another start would not help.
Restart=on-failure
RestartPreventExitStatus=2
RestartSec=5
# The bot ends its private Redis itself, after the last reply.
KillMode=mixed
TimeoutStopSec={stop}
LimitNOFILE=65536
UMask=0077

# It writes nothing but its data, and needs no rights.
ReadWritePaths={data}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
CapabilityBoundingSet=
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
SystemCallArchitectures=native
SystemCallFilter=@system-service

[Install]
WantedBy=multi-user.target"""
_AS_ROOT = """
# This folder belongs to root. Give it to a user of its own first:
#   {create}sudo chown -R {user}: {folder}"""
_NOBODY_YET = """
# This machine has no user {user} yet. Before the first start:
#   {create}sudo chown -R {user}: {folder}"""
_CREATE = "sudo useradd --system --no-create-home {user} && "
# What useradd takes, and the number of a user (systemd: user-names.md).
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}|[0-9]{1,10}")


def unit(folder: Path, program: Path, data: Path, drain_seconds: float, user: str = "") -> str:
    """The unit for a bot in this folder, where its .env is.

    `program`: nebula-bot. `data`: DATA_DIR. `user`: who runs it, if not the owner of the folder; root is nobody's bot.
    Raises WrongConfig if nobody can have this name.
    """
    owner = folder.owner()
    user = user or (owner if owner != "root" else "nebula")
    if not _USER.fullmatch(user):
        raise WrongConfig(("--user: it must be the name of a user of this machine.",))
    there = user.isdecimal() or any(each.pw_name == user for each in pwd.getpwall())
    note = "" if there else _NOBODY_YET
    if owner == "root" and user == "nebula":
        note = _AS_ROOT
    return _UNIT.format(
        program=shlex.quote(str(program)),
        note=note.format(create="" if there else _CREATE.format(user=user), user=user, folder=shlex.quote(str(folder))),
        user=user,
        folder=str(folder).replace("%", "%%"),
        data=_quoted(folder / data),
        made=_argument(folder / data),
        run=_argument(program),
        stop=round(drain_seconds + CLOSING_SECONDS),
    )


def _quoted(path: Path) -> str:
    """A path as a unit has it (systemd.syntax(7), Quoting)."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if " " in text else text


def _argument(path: Path) -> str:
    """A path as a command of a unit has it, where `$` begins a variable (systemd.service(5), Command Lines)."""
    return _quoted(path).replace("$", "$$")
