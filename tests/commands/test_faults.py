"""Every fault that the drill can plan can be carried out."""

import random
from pathlib import Path

from commands.drill.evidence import Evidence
from commands.drill.faults import Faults
from commands.drill.plan import FAULTS
from commands.drill.system import fakemail, system


def test_there_is_a_way_to_carry_out_each_kind_of_the_plan(tmp_path: Path):
    mail = fakemail(tmp_path / "mail")
    drilled = system(tmp_path / "system", mail.url)
    evidence = Evidence(f"sqlite:///{tmp_path}/emails.db")
    faults = Faults(drilled, mail, evidence, redis_url=None, proxy=None, rng=random.Random(1))
    assert list(faults.ways) == list(FAULTS)
