"""Dead letters: deliveries that are parked, and wait for somebody who looks at them."""

from sqlalchemy import ColumnElement, and_, select

from node.core.job import DeliveryState, ResultState
from node.core.withdrawal import QUIET
from node.store import schema


def dead() -> ColumnElement[bool]:
    """Return the condition that a delivery is parked and may be owed again.

    One whose result was superseded or retracted meanwhile is over, whatever it was parked for.
    """
    delivery, result = schema.delivery, schema.result_set
    current = select(result.c.result_set_id).where(result.c.state == ResultState.CURRENT)
    return and_(
        delivery.c.state == DeliveryState.PARKED,
        delivery.c.reason.not_in(sorted(QUIET)),
        delivery.c.result_set_id.in_(current),
    )
