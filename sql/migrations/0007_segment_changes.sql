-- Whose statistics, attributes or identity changed and who has not been judged again yet: rows of a transaction that
-- changed any, taken away by whoever judges them. bulk: of an import or of everybody, judged when nothing else waits.
create table changed_customers (
    change_no    bigint generated always as identity,
    bulk         boolean not null default false,
    customers    integer not null,             -- how many
    customer_nos bigint[] not null,
    changed_at   timestamptz not null default clock_timestamp(),
    primary key (bulk, change_no)
);

-- Who was judged while a training, an activation or a refresh was at work with statistics that it had read before: they
-- are judged once more when it has written what it found.
create table judged_meanwhile (
    customer_no bigint primary key
);

-- Who entered and left which segment when, in the order of committing (writers of news follow one another, see
-- src/store/segment_changes.c). A move is a row for leaving and one for entering. Not news is where everybody was when
-- the segmentation was first evaluated: history begins with it, but nothing has changed.
create table segment_changes (
    change_no       bigint generated always as identity primary key,
    customer_no     bigint not null,
    segmentation_no bigint not null,
    segment_id      text collate "C" not null,
    entered         boolean not null, -- false: left
    news            boolean not null default true,
    at              timestamptz not null,
    model_no        bigint not null   -- by which it was judged
);
create index segment_changes_customer on segment_changes (customer_no, segmentation_no, change_no);
create index segment_changes_segmentation on segment_changes (segmentation_no, change_no);
create index segment_changes_news on segment_changes (change_no) where news;

-- What segments were called when a model judged by them; outlives the models, as history does.
create table change_names (
    model_no        bigint not null,
    segment_id      text collate "C" not null,
    segmentation_no bigint not null,
    label           text not null,
    model_id        text collate "C" not null,
    version         bigint not null,
    primary key (model_no, segment_id)
);

insert into change_names (model_no, segment_id, segmentation_no, label, model_id, version)
select g.model_no, g.segment_id, s.segmentation_no, g.label, o.model_id, o.version
from segments g join models o using (model_no) join segmentations s on s.name = o.name;
insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no)
select m.customer_no, m.segmentation_no, m.segment_id, true, false, m.since, o.model_no
from memberships m join segmentations s using (segmentation_no)
join models o on o.kind = 'segments' and o.name = s.name and o.active order by m.since, m.customer_no;
