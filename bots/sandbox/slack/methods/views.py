"""Modals and the App Home: views.open, views.update and views.publish."""

from bots.sandbox.slack.methods.args import Args
from bots.sandbox.slack.workspace.blocks import SlackRefusal, checked_view
from bots.sandbox.slack.workspace.state import Workspace
from bots.sandbox.slack.workspace.values import Json, View
from bots.sandbox.slack.workspace.wire import view_json


class Views:
    """The views that people have open."""

    def __init__(self, ws: Workspace) -> None:
        self._ws = ws
        self.methods = {"views.open": self.open, "views.update": self.update, "views.publish": self.publish}

    def open(self, args: Args) -> Json:
        """views.open, with a new trigger_id."""
        raw = self._checked(args)
        trigger = args.needed("trigger_id")
        return self._answer(self.put(raw, self._ws.spend_trigger(trigger)))

    def update(self, args: Args) -> Json:
        """views.update by view_id."""
        old = self._ws.views.get(args.text("view_id"))
        if not old:
            raise SlackRefusal("not_found")
        return self._answer(self.put(self._checked(args), old.user, old.id))

    def publish(self, args: Args) -> Json:
        """views.publish: somebody's App Home."""
        user = self._ws.person(args.text("user_id")).id
        return self._answer(self.put(self._checked(args), user, f"VHOME{user}"))

    def put(self, raw: Json, user: str, view_id: str = "") -> View:
        """Show a view to somebody."""
        title = raw.get("title", {}).get("text", "")
        meta = raw.get("private_metadata", "")
        ident = view_id or self._ws.new_id("V")
        view = View(ident, user, raw["type"], raw.get("callback_id", ""), title, meta, tuple(raw["blocks"]), raw)
        self._ws.views[ident] = view
        self._ws.changed()
        return view

    def _checked(self, args: Args) -> Json:
        return checked_view(args.json("view", "invalid_arguments"))

    def _answer(self, view: View) -> Json:
        return {"view": view_json(self._ws, view)}
