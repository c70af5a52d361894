{{ landed_rows('app', 'sessions') }}
