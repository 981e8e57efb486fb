"""Which sensors somebody has switched off in Dagster's UI though the settings ask for them."""

from surgical_pipeline.defs.dagster_home import opened_instance
from surgical_pipeline.defs.sensors.requests import CHANGES, WEBHOOKS
from surgical_pipeline.settings import Settings

MIRROR = "mirror"
_OFF = "STOPPED"


def switched_off(settings: Settings) -> dict[str, str]:
    """Each such sensor by its name, with what asks for it, in words.

    A sensor that nobody has ever switched on or off is as its definition says, and not named.

    Raises:
        SettingsError, DagsterHomeError: Dagster's storage cannot be read.
    """
    wanted = {MIRROR: "every installation needs it"}
    if settings.expects_hooks:
        wanted[WEBHOOKS] = "a secret for webhooks is set"
    if settings.watches:
        wanted[CHANGES] = "SURGICAL_PROJECTS is set"
    if settings.text("SURGICAL_PUBLISH"):
        wanted["publish"] = "SURGICAL_PUBLISH is set"
    with opened_instance() as instance:
        states = [(state.name, state.status.value) for state in instance.all_instigator_state()]
    off = {name for name, status in states if status == _OFF} - {name for name, status in states if status != _OFF}
    return {name: why for name, why in wanted.items() if name in off}
