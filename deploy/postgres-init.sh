#!/bin/sh
# Run once by the postgres image on an empty volume: the owner of the tables, and the app's role that owns nothing.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -d postgres \
  -v owner="$JISHI_OWNER_PASSWORD" -v app="$JISHI_APP_PASSWORD" <<'SQL'
create role jishi_app login nosuperuser nobypassrls password :'app';
create role jishi_owner login nosuperuser nobypassrls password :'owner';
grant jishi_app to jishi_owner;
create database jishi owner jishi_owner;
SQL
