"""Prints a unit with which systemd runs the bot: hardened, restarted after a crash, and stopped with enough time."""

from pathlib import Path

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
ExecStartPre=+/bin/sh -c 'test -d "$$1" || install -d -m 0700 -o "$$2" "$$1"' sh {data} {user}
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
#   sudo useradd --system --no-create-home nebula && sudo chown -R nebula: {folder}"""


def unit(folder: Path, program: Path, data: Path, drain_seconds: float, user: str = "") -> str:
    """The unit for a bot in this folder, where its .env is.

    `program`: nebula-bot. `data`: DATA_DIR. `user`: who runs it, if not the owner of the folder; root is nobody's bot.
    """
    owner = folder.owner()
    user = user or (owner if owner != "root" else "nebula")
    return _UNIT.format(
        program=program,
        note=_AS_ROOT.format(folder=folder) if owner == "root" and user == "nebula" else "",
        user=user,
        folder=str(folder).replace("%", "%%"),
        data=_quoted(folder / data),
        run=_quoted(program),
        stop=round(drain_seconds + CLOSING_SECONDS),
    )


def _quoted(path: Path) -> str:
    """A path as a unit has it (systemd.syntax(7), Quoting)."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{text}"' if " " in text else text
