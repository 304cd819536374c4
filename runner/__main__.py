"""The command line: Hydra composes, :mod:`runner.tasks` does the rest, and errors become exit codes."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

INTERRUPTED = 130


def main() -> int:
    """Run the command line; return the exit code."""
    arguments = sys.argv[1:]
    if {"-h", "--help"} & set(arguments):
        from runner.report.help import help_text

        print(help_text())
        return 0
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return _compose_and_execute(arguments)
    except KeyboardInterrupt:
        print("\ninterrupted: all processes of the run were ended", file=sys.stderr)
        return INTERRUPTED


def _compose_and_execute(arguments: list[str]) -> int:
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # let Hydra's errors reach us, to be told in our way
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from runner.errors import RunnerError
    from runner.files import want_of_room
    from runner.spec.check_source import refuse_typed_credentials
    from runner.spec.compose import explain
    from runner.spec.trials import force_space

    try:
        refuse_typed_credentials(arguments)
        arguments = sys.argv[1:] = force_space(arguments)
        if any(argument.startswith(("-", "hydra.")) for argument in arguments):
            return _with_hydra_main()
        return _with_hydra_compose(arguments)
    except (HydraException, OmegaConfBaseException) as error:
        return _tell(explain(error, arguments))
    except RunnerError as error:
        return _tell(error)
    except OSError as error:
        if (full := want_of_room(error, "this site")) is None:
            raise
        return _tell(full)


def _with_hydra_compose(overrides: list[str]) -> int:
    """A single run. Hydra's application entry would compose everything twice; this takes half the time."""
    from hydra import compose, initialize_config_dir
    from omegaconf import open_dict

    from runner.spec.compose import choices_of, config_dir, unforeseen
    from runner.tasks import execute

    with initialize_config_dir(config_dir(), job_name="runner", version_base="1.3"):
        try:
            config = compose("config", overrides, return_hydra_config=True)
        except (TypeError, ValueError) as error:
            raise unforeseen(error, overrides) from None
    choices = choices_of(config.hydra.runtime.choices)
    with open_dict(config):
        del config["hydra"]
    execute(config, overrides, choices)
    return 0


def _with_hydra_main() -> int:
    """Whatever needs Hydra's own flags: sweeps, other config folders, showing the composed configuration."""
    import hydra

    from runner.spec.compose import config_dir
    from runner.sweep.launcher import register
    from runner.sweep.task import HydraTask
    from runner.tasks import execute

    register()
    task = HydraTask(execute)
    # Hydra's parser takes all overrides in one piece: put the flags, wherever they were typed, before them.
    arguments = _absolute_config_path(sys.argv[1:])
    overrides = [argument for argument in arguments if _is_override(argument)]
    flags = [argument for argument in arguments if not _is_override(argument)]
    own_settings = _HYDRA_SETTINGS if any(_names_config_path(flag) for flag in flags) else ()
    sys.argv[1:] = [*flags, *own_settings, *overrides]
    entry: Any = hydra.main(version_base="1.3", config_path=config_dir(), config_name="config")(task)
    entry()
    return next(iter(task.codes), 0)


# Those of conf/config.yaml, which a snapshot (--config-path RUN/.hydra) does not have: no folders of Hydra's own.
_HYDRA_SETTINGS = (
    "hydra/job_logging=none",
    "hydra/hydra_logging=none",
    "hydra/launcher=runner",
    "hydra/sweeper=runner",
    "hydra.output_subdir=null",
    "hydra.run.dir=.",
    "hydra.sweep.dir=${outputs}/sweeps/${now:%Y-%m-%d}/${now:%H-%M-%S}",
    "hydra.sweep.subdir=.",
)
_CONFIG_PATH = ("--config-path", "-cp")


def _names_config_path(argument: str) -> bool:
    return argument.partition("=")[0] in _CONFIG_PATH


def _absolute_config_path(arguments: list[str]) -> list[str]:
    """The same arguments with the folder after --config-path as it is seen from here; Hydra would look beside us."""
    found = []
    for before, argument in zip(("", *arguments), arguments, strict=False):
        flag, equals, folder = argument.partition("=")
        if before in _CONFIG_PATH:
            found.append(str(Path(argument).absolute()))
        elif equals and flag in _CONFIG_PATH:
            found.append(f"{flag}={Path(folder).absolute()}")
        else:
            found.append(argument)
    return found


def _is_override(argument: str) -> bool:
    return not argument.startswith("-") and ("=" in argument or argument.startswith("~"))


def _tell(error: Any) -> int:
    print(f"\n{error}", file=sys.stderr, flush=True)
    return int(error.code)


def _terminate(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
