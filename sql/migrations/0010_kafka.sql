-- How far each partition was read, written by the transaction that landed what was read.
create table kafka_offsets (
    consumer_group text collate "C" not null,
    topic          text collate "C" not null,
    partition      integer not null,
    next_offset    bigint not null,
    primary key (consumer_group, topic, partition)
);
-- How far segment_changes was produced to a topic.
create table kafka_produced (
    topic     text collate "C" primary key,
    change_no bigint not null
);
