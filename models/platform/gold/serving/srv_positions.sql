with segments as (

    select * from {{ ref('slv_segments') }}

),

final as (

    select
        source_table,
        topic,
        partition,
        max(last_offset) as last_offset
    from segments
    group by source_table, topic, partition

)

select * from final
