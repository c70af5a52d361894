{{ landed_rows('web', 'events') }}
