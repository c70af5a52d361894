{{ daily_volume(relations_read('events')) }}
