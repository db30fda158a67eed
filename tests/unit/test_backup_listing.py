"""Of an archive of a richer tier a restore takes rows, and what people made; the rest is the revisions'."""

from app.backup.listing import beside_revisions, names
from app.backup.ours import is_ours

KEPT = """\
310; 1259 17150 VIEW public my_closes somebody
311; 1259 17160 TABLE public mine somebody
578; 1255 17151 FUNCTION public my_sum(integer, integer) somebody
3905; 0 0 COMMENT public VIEW my_closes somebody
3900; 0 17160 TABLE DATA public mine somebody
3901; 0 17001 TABLE DATA public symbol_exchange somebody
3902; 0 0 SEQUENCE SET public symbol_exchange_id_seq somebody
3731; 2606 17142 CONSTRAINT public mine mine_pkey somebody
3732; 1259 17143 INDEX public mine_said_idx somebody
3733; 0 17300 MATERIALIZED VIEW DATA public weekly_return somebody
"""
LEFT = """\
;
; Archive created at 2026-11-25 19:29:13 UTC
5; 2615 2200 SCHEMA - public pg_database_owner
3904; 0 0 COMMENT - SCHEMA public pg_database_owner
282; 1259 17147 TABLE public candles somebody
283; 1259 17148 VIEW public rolled_5min somebody
284; 1259 17149 VIEW public bars_5min somebody
285; 1259 17149 SEQUENCE public symbol_exchange_id_seq somebody
286; 1255 17149 FUNCTION public exact_daily(integer, timestamp with time zone, timestamp with time zone) somebody
287; 1255 17149 PROCEDURE public pack_history(timestamp with time zone, integer) somebody
288; 0 0 COMMENT public COLUMN rolled_5min.open somebody
289; 0 17200 TABLE DATA public storage somebody
290; 0 17201 TABLE DATA public alembic_version somebody
291; 2606 17142 CONSTRAINT public candles candles_pkey somebody
292; 2606 17142 FK CONSTRAINT public fetch_leases fetch_leases_job_id_fkey somebody
293; 1259 17143 INDEX public rollup_dirty_symbol_idx somebody
294; 2620 17143 TRIGGER public candles ts_insert_blocker somebody
295; 1259 17300 MATERIALIZED VIEW public weekly_return somebody
"""


def test_rows_and_what_people_made_are_kept_in_their_order() -> None:
    assert beside_revisions(LEFT + KEPT, is_ours) == KEPT
    assert beside_revisions(KEPT + LEFT, is_ours) == KEPT


def test_names_are_those_of_relations_and_functions() -> None:
    assert names(KEPT) == {"my_closes", "mine", "my_sum"}
