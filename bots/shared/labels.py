"""The words on the buttons under replies."""

from core.domain.page import Action

LABELS = {Action.STOP: "Stop", Action.AGAIN: "Regenerate", Action.GO_ON: "Continue"}
