-- Trained models, the segmentations that they make, and who is in which segment now.

-- One named way of dividing the customers. next_segment numbers segment ids ("s1", "s2", …), which are never used twice.
-- Whoever changes what is active in a segmentation locks its row first.
create table segmentations (
    segmentation_no bigint generated always as identity primary key,
    name            text collate "C" not null unique,
    next_segment    bigint not null default 1,
    created_at      timestamptz not null default now()
);

-- Every model ever trained, with all that is needed to use it again and to say how it came about.
create table models (
    model_no     bigint generated always as identity primary key,
    model_id     text collate "C" not null unique,
    kind         text collate "C" not null,     -- 'segments'
    name         text collate "C" not null,     -- of the segmentation
    version      bigint not null,               -- 1, 2, … within (kind, name)
    algorithm    text collate "C" not null,     -- 'kmeans', 'rfm'
    params       json not null,                 -- as asked for, defaults filled in
    features     json not null,                 -- names of what it looks at
    metrics      json not null,  -- json: kept as written, in the order written
    seed         bigint not null,
    as_of        timestamptz,                   -- trained for a moment in the past; null: for its present
    evaluated_at timestamptz not null,          -- the moment its customers were judged at
    trained_at   timestamptz not null,
    data_from    timestamptz,
    data_to      timestamptz,
    rows         bigint not null,
    row_hash     bytea not null,                -- SHA-256 of the training rows
    build        text not null,                 -- versions of what trained it
    artifact     bytea not null,                -- model/artifact.h
    checksum     bytea not null,                -- SHA-256 of the artifact
    job_id       text collate "C",
    active       boolean not null default false,
    activated_at timestamptz,
    unique (kind, name, version)
);
create unique index models_active on models (kind, name) where active;
alter table models alter column artifact set storage external; -- doubles do not compress

-- What the segments of a model look like, as last evaluated (by training, activation or refresh).
create table segments (
    model_no      bigint not null,
    position      bigint not null,              -- index in the artifact
    segment_id    text collate "C" not null,
    label         text not null,
    description   text not null,
    size          bigint not null,
    share         float8 not null,
    revenue_share float8,
    profile       json not null,                -- {"features": …, "distinguishing": …}
    primary key (model_no, position),
    unique (model_no, segment_id)
);

-- Who is in which segment of the active model, as last evaluated. since: in this segment without a break.
create table memberships (
    customer_no     bigint not null,
    segmentation_no bigint not null,
    segment_id      text collate "C" not null,
    since           timestamptz not null,
    primary key (customer_no, segmentation_no)
);
create index memberships_segment on memberships (segmentation_no, segment_id, customer_no);
