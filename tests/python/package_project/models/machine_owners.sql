{{ assay.change_history(
    source('plant', 'changes'), ['machine'], 'known_at', ['owner', 'place'], is_deleted='is_gone'
) }}
