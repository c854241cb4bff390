-- Whose statistics changed and who has not been judged again yet: one row a transaction that changed any, taken away by
-- whoever judges them.
create table changed_customers (
    change_no    bigint generated always as identity primary key,
    customer_nos bigint[] not null,
    changed_at   timestamptz not null default now()
);

-- Who entered and left which segment when, in the order of committing (its writers follow one another, see
-- src/store/segment_changes.c). A move is a row for leaving and one for entering.
create table segment_changes (
    change_no       bigint generated always as identity primary key,
    customer_no     bigint not null,
    segmentation_no bigint not null,
    segment_id      text collate "C" not null,
    entered         boolean not null, -- false: left
    at              timestamptz not null,
    model_no        bigint not null
);
create index segment_changes_customer on segment_changes (customer_no, change_no);
create index segment_changes_segmentation on segment_changes (segmentation_no, customer_no, change_no);
insert into segment_changes (customer_no, segmentation_no, segment_id, entered, at, model_no)
select m.customer_no, m.segmentation_no, m.segment_id, true, m.since, o.model_no
from memberships m join segmentations s using (segmentation_no)
join models o on o.kind = 'segments' and o.name = s.name and o.active order by m.since, m.customer_no;
