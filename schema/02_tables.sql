-- Identity of the embedded provider. Role coterie_auth alone.

create table if not exists coterie.auth_keys (
  kid text primary key,
  private_key text not null, -- PKCS #8 PEM of an ES256 key
  created_at timestamptz not null default now(),
  retired_at timestamptz -- signs no more from then on; still verifies
);
alter table coterie.auth_keys
  add column if not exists signs_from timestamptz not null default now(), -- published before, so that everybody knows it
  add column if not exists token_life interval not null default '1 day', -- of the longest token that it may have signed
  add column if not exists refresh_secret bytea check (length(refresh_secret) = 32); -- the same in each row; null: made of this key

create table if not exists coterie.auth_users (
  user_id uuid primary key,
  is_anonymous boolean not null,
  app_metadata jsonb not null default '{}',
  user_metadata jsonb not null default '{}',
  created_at timestamptz not null default now(),
  last_sign_in_at timestamptz not null default now()
);

create table if not exists coterie.auth_sessions (
  session_id text primary key, -- text, as in the claims
  user_id uuid not null references coterie.auth_users on delete cascade,
  method text not null, -- amr: anonymous, passkey
  created_at timestamptz not null default now(),
  ended_at timestamptz -- signed out
);
create index if not exists auth_sessions_user_id on coterie.auth_sessions (user_id);

create table if not exists coterie.auth_refresh_tokens (
  token_hash bytea primary key check (length(token_hash) = 32), -- SHA-256: the token itself is stored nowhere
  session_id text not null references coterie.auth_sessions on delete cascade,
  parent_hash bytea unique, -- a token has one child: asking twice gives the same one
  created_at timestamptz not null default now(),
  used_at timestamptz
);
create index if not exists auth_refresh_tokens_session_id on coterie.auth_refresh_tokens (session_id);

create table if not exists coterie.auth_passkeys (
  passkey_id uuid primary key default gen_random_uuid(),
  user_id uuid not null references coterie.auth_users on delete cascade,
  credential_id bytea not null constraint auth_passkeys_credential_id unique check (length(credential_id) between 1 and 1023),
  public_key bytea not null check (length(public_key) between 1 and 8192), -- COSE_Key
  sign_count bigint not null check (sign_count between 0 and 4294967295), -- 0: this authenticator does not count
  friendly_name text not null check (char_length(friendly_name) between 1 and 120),
  created_at timestamptz not null default now(),
  last_used_at timestamptz
);
create index if not exists auth_passkeys_user_id on coterie.auth_passkeys (user_id);

-- Deleted when it is answered, whatever the answer.
create table if not exists coterie.auth_challenges (
  challenge_id uuid primary key default gen_random_uuid(),
  user_id uuid references coterie.auth_users on delete cascade, -- who registers; null: somebody signs in
  challenge bytea not null check (length(challenge) = 32),
  expires_at timestamptz not null
);
create index if not exists auth_challenges_expires_at on coterie.auth_challenges (expires_at);

------------------------------------------------------------------------------------------------------------------------
-- Devices

create table if not exists coterie.devices (
  device_id uuid primary key default gen_random_uuid(),
  user_id text not null check (user_id <> '' and octet_length(user_id) <= 200 and position('#' in user_id) = 0),
  signature_key bytea not null unique check (length(signature_key) = 32), -- a key belongs to one user for ever
  name text not null check (char_length(name) between 1 and 64),
  kind text not null check (kind in ('person', 'service')),
  created_at timestamptz not null default now(),
  last_seen timestamptz not null default now(),
  revoked_at timestamptz
);
create index if not exists devices_user_id on coterie.devices (user_id);

create table if not exists coterie.device_sessions (
  session_id text primary key check (octet_length(session_id) between 1 and 200),
  device_id uuid not null references coterie.devices on delete cascade,
  created_at timestamptz not null default now()
);
create index if not exists device_sessions_device_id on coterie.device_sessions (device_id);
alter table coterie.device_sessions
  add column if not exists earlier uuid[]; -- devices as which it acted before: revoking one of these ends it too

create table if not exists coterie.key_packages (
  device_id uuid not null references coterie.devices on delete cascade,
  ref bytea not null check (length(ref) = 32), -- KeyPackageRef, RFC 9420 section 5.2
  key_package bytea not null check (length(key_package) between 1 and 65536),
  suite integer not null,
  last_resort boolean not null,
  not_after timestamptz not null,
  created_at timestamptz not null default now(),
  claimed_at timestamptz, -- each is given once, the last resort excepted
  primary key (device_id, ref)
);
create index if not exists key_packages_free on coterie.key_packages (device_id, last_resort, not_after)
  where claimed_at is null;
-- Given or replaced: the package goes, the row stays, so that the same one is not published again.
alter table coterie.key_packages
  alter column key_package drop not null,
  drop column if exists claimed_by; -- who takes whose is nobody's business

-- What a claim was answered, so that asking again takes nothing more.
create table if not exists coterie.key_package_claims (
  device_id uuid not null references coterie.devices on delete cascade, -- who claimed
  claim_id uuid not null,
  asked bytea not null check (length(asked) = 32), -- SHA-256 of the request
  answer json not null,
  created_at timestamptz not null default now(),
  primary key (device_id, claim_id)
);

------------------------------------------------------------------------------------------------------------------------
-- Groups. Hot tables lead with group_id, so that they can be partitioned by it.

create table if not exists coterie.groups (
  group_id uuid primary key,
  created_by uuid not null references coterie.devices,
  created_message_id uuid not null,
  created_hash bytea not null check (length(created_hash) = 32), -- SHA-256 of the first GroupInfo
  created_at timestamptz not null default now(),
  group_info bytea not null check (length(group_info) between 1 and 8388608), -- of the present epoch
  last_empty_commit_at timestamptz, -- a commit that added and removed nobody
  paused_by uuid, -- commits of other devices are refused until then
  paused_until timestamptz
);

-- The one row that every sender locks first: from there on, one writer a group at a time.
create table if not exists coterie.group_seq (
  group_id uuid primary key references coterie.groups on delete cascade,
  last_seq bigint not null default 0 check (last_seq between 0 and 9007199254740991),
  epoch bigint not null default 0 check (epoch between 0 and 9007199254740991)
) with (fillfactor = 50);

create table if not exists coterie.group_members (
  group_id uuid not null references coterie.groups on delete cascade,
  device_id uuid not null references coterie.devices,
  from_seq bigint not null, -- first seq that this device may have
  until_seq bigint, -- last one, inclusive; null while it is a member
  acked_seq bigint not null default 0, -- saved by the client; only moves forward
  joined_at timestamptz, -- it saved its Welcome (or made the group): delivery has begun
  left_at timestamptz,
  counter bigint not null default 0, -- PrivateMessages that it framed in counter_epoch
  counter_epoch bigint not null default 0,
  last_empty_commit_at timestamptz,
  last_pause_at timestamptz,
  created_at timestamptz not null default now(),
  primary key (group_id, device_id)
) with (fillfactor = 70);
create index if not exists group_members_device_id on coterie.group_members (device_id, group_id);

create table if not exists coterie.messages (
  group_id uuid not null references coterie.groups on delete cascade,
  seq bigint not null check (seq between 1 and 9007199254740991),
  epoch bigint not null, -- in which it was framed
  kind text not null check (kind in ('application', 'commit')),
  message_id uuid not null,
  sender_device uuid not null,
  body bytea, -- neither body nor ref: expired, the seq stays
  ref text, -- a pointer to another store
  hash bytea not null check (length(hash) = 32), -- SHA-256 of the MLS bytes
  size integer not null check (size between 1 and 1048576),
  server_time timestamptz not null,
  primary key (group_id, seq),
  constraint messages_message_id_once unique (group_id, message_id),
  constraint messages_body_or_ref check (body is null or ref is null)
);
create unique index if not exists messages_one_commit_per_epoch
  on coterie.messages (group_id, epoch) where kind = 'commit'; -- the race for an epoch ends here

create table if not exists coterie.welcomes (
  group_id uuid not null references coterie.groups on delete cascade,
  device_id uuid not null references coterie.devices,
  seq bigint not null, -- of the commit that it belongs to
  welcome bytea not null check (length(welcome) between 1 and 8388608),
  created_at timestamptz not null default now(),
  primary key (group_id, device_id, seq)
);
alter table coterie.welcomes
  add column if not exists sender_device uuid, -- who added the device; null: before this was kept
  add column if not exists sender_user text;
create index if not exists welcomes_device_id on coterie.welcomes (device_id);

create table if not exists coterie.invites (
  invite_id bytea primary key check (length(invite_id) = 16),
  group_id uuid not null references coterie.groups on delete cascade,
  created_by uuid not null references coterie.devices,
  created_at timestamptz not null default now(),
  expires_at timestamptz not null,
  max_uses integer not null check (max_uses between 1 and 100000),
  uses integer not null default 0 check (uses >= 0),
  approval boolean not null,
  preview bytea not null check (length(preview) between 1 and 4096), -- sealed; the key is in the link
  ended_at timestamptz, -- revoked, or ended by a commit
  constraint invites_used_at_most check (uses <= max_uses)
);
create index if not exists invites_group_id on coterie.invites (group_id);

-- One queue for everybody who waits to be added.
create table if not exists coterie.joins (
  join_id uuid primary key,
  group_id uuid not null references coterie.groups on delete cascade,
  device_id uuid not null references coterie.devices,
  user_id text not null,
  source text not null check (source in ('link', 'device', 'direct')),
  invite_id bytea references coterie.invites,
  key_package bytea not null check (length(key_package) between 1 and 65536),
  proof bytea, -- tag of the link
  hello bytea check (length(hello) <= 4096), -- sealed
  status text not null check (status in
    ('waiting', 'approval', 'claimed', 'welcomed', 'joined', 'refused', 'expired', 'cancelled')),
  expires_at timestamptz,
  created_at timestamptz not null default now(),
  claimed_by uuid,
  claimed_until timestamptz,
  decided_by uuid,
  completed_by uuid,
  welcome_seq bigint,
  welcome_tag bytea check (length(welcome_tag) = 32),
  check (source <> 'link' or (invite_id is not null and proof is not null and hello is not null))
);
create index if not exists joins_open_by_group on coterie.joins (group_id)
  where status in ('waiting', 'approval', 'claimed');
create unique index if not exists joins_one_open on coterie.joins (invite_id, device_id)
  where status in ('waiting', 'approval', 'claimed'); -- one open join per device and invite
create index if not exists joins_device_id on coterie.joins (device_id);

-- Who worked on a join, so that one who let a claim lapse lets others try first.
create table if not exists coterie.join_claims (
  join_id uuid not null references coterie.joins on delete cascade,
  device_id uuid not null references coterie.devices,
  claimed_until timestamptz not null,
  primary key (join_id, device_id)
);

------------------------------------------------------------------------------------------------------------------------
-- Retention and limits. Role coterie_system alone.

create table if not exists coterie.group_retention (
  group_id uuid primary key references coterie.groups on delete cascade,
  dropped_seq bigint not null -- bodies up to here are gone
);

-- Unlogged: what a crash forgets is how often somebody asked.
create unlogged table if not exists coterie.limits (
  key bytea primary key check (length(key) = 32), -- SHA-256 of what is limited and of whom
  free_at timestamptz not null -- when the whole budget is there again
);
