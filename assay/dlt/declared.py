"""Find the sources of dlt that contracts name under `servers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.contracts.contract import FOLDER, read_contracts
from assay.contracts.servers import find_dlt_servers
from assay.core.fault import MISUSED, Fault
from assay.dlt.source import Target
from assay.project.paths import contract_folders


@dataclass(frozen=True)
class DeclaredSource:
    """A source of dlt, `module:name`, and what it fills of the landing zone."""

    place: str
    target: Target

    def fills(self, source: str, table: str) -> bool:
        """Tell whether its rows may land in a table: one that it names, or a list in the rows of that one."""
        named = self.target.table
        is_own = named is None or table == named or table.startswith(f"{named}__")
        return source == self.target.source and is_own


def find_declared() -> list[DeclaredSource]:
    """Return the sources of dlt that contracts name, in the order of what they fill.

    A server with the name of a table fills that table; any other fills the tables of the contract's source.
    """
    found = []
    contracts, _ = read_contracts(*contract_folders(FOLDER))
    for contract in contracts:
        names = [table.name for table in contract.tables]
        for server, place in find_dlt_servers(contract):
            target = Target(contract.id, server if server in names else None)
            found.append(DeclaredSource(place, target))
    return sorted(found, key=lambda each: str(each.target))


def choose_declared(names: Sequence[str] = ()) -> list[DeclaredSource]:
    """Return the declared sources that fill what is named, or all of them.

    Raises:
        Fault: none is declared, or none fills what is named.
    """
    declared = find_declared()
    known = {str(each.target) for each in declared}
    if not declared:
        raise Fault(
            "No contract names a source of dlt: say which, as assay land dlt MODULE:SOURCE, or name it in "
            "the contract of what it fills, as servers: [{server: dlt, type: custom, customProperties: "
            "[{property: dlt, value: 'MODULE:SOURCE'}]}].",
            MISUSED,
        )
    if strange := [name for name in names if name not in known]:
        raise Fault(f"No source of dlt fills {strange[0]}: there are {', '.join(sorted(known))}.", MISUSED)
    return [each for each in declared if not names or str(each.target) in names]
