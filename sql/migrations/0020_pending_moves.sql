-- Where the judgement of a whole segmentation has put people who are not written into memberships and into the record yet:
-- that is done some at a time, so that others who write there get their turn in between. From the commit that makes the model
-- the active one these hold in place of memberships (src/store/pending.c); in the end the table is empty.
create table pending_moves (
    customer_no     bigint not null,
    segmentation_no bigint not null,
    model_no        bigint not null,
    segment_id      text collate "C",  -- null: in none any more
    at              timestamptz not null,
    primary key (customer_no, segmentation_no)
);
create index pending_moves_segment on pending_moves (segmentation_no, segment_id, customer_no);
