"""The record of a route, in SQL: how the flights from an origin to a destination left, as of each of them.

Where a flight goes stands in the plan. A row is there from when both are known, its outcome and its plan.
"""

from typing import Final

ROUTE_RECORD: Final = """
    WITH flown AS (
        SELECT origin, dest, greatest(outcomes.known_time, schedule.known_time) AS known_time,
            late::INT AS late, cancelled::INT AS cancelled, departure_delay_minutes AS delay
        FROM outcomes JOIN schedule USING (scheduled_departure, carrier, flight, origin)
    )
    SELECT DISTINCT origin, dest, known_time AS event_time, known_time,
        (count(delay) OVER week)::DOUBLE AS route_departed_7d,
        avg(late) OVER week AS route_late_share_7d,
        avg(cancelled) OVER week AS route_cancelled_share_7d,
        avg(delay) OVER week AS route_mean_delay_7d,
        (count(delay) OVER day)::DOUBLE AS route_departed_24h,
        avg(late) OVER day AS route_late_share_24h,
        avg(delay) OVER day AS route_mean_delay_24h
    FROM flown
    WINDOW
        week AS (PARTITION BY origin, dest ORDER BY known_time RANGE INTERVAL 7 DAYS PRECEDING),
        day AS (PARTITION BY origin, dest ORDER BY known_time RANGE INTERVAL 24 HOURS PRECEDING)
"""
