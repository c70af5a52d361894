{{ landed_rows('serving', 'predictions') }}
