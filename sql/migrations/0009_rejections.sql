-- Items that were not taken, for finding out why: bounded and expiring, without what they said.
create table rejections (
    rejection_no bigint generated always as identity primary key,
    source       text not null,
    reason       text not null,
    place        text not null,
    type         text,
    message_id   text,
    request_id   text,
    received_at  timestamptz not null default now()
);
create index rejections_received on rejections (received_at);
create index rejections_source on rejections (source, rejection_no);
