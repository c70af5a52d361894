with scores as (

    select * from {{ ref('ftr_customer__affinity_scores') }}

),

cut_offs as (

    select
        cut_off_at,
        lead(cut_off_at) over (order by cut_off_at) as next_cut_off_at
    from (select distinct cut_off_at from scores) as fits

),

-- A product that is among a customer's best no longer is not in the next fit: its state ends there.
dropped as (

    select
        scores.* exclude (cut_off_at),
        cut_offs.next_cut_off_at as cut_off_at,
        true as is_dropped
    from scores
    inner join cut_offs on scores.cut_off_at = cut_offs.cut_off_at
    anti join scores as next_scores
        on
            cut_offs.next_cut_off_at = next_scores.cut_off_at
            and scores.customer_id = next_scores.customer_id
            and scores.product_id = next_scores.product_id
    where cut_offs.next_cut_off_at is not null

),

changes as (

    select
        *,
        false as is_dropped
    from scores

    union all by name

    select * from dropped

),

history as (

    {{ assay.change_history(
        'changes',
        entity_keys=['customer_id', 'product_id'],
        available_at='cut_off_at',
        columns=['affinity_score', 'affinity_rank'],
        is_deleted='is_dropped'
    ) }}

),

final as (

    select * from history

)

select * from final
