select trip_id, van_id, kilometres, ended_at, known_at from {{ source('depot', 'trips') }}
