with spine as (

    select * from {{ ref('lbl_renewal') }}

),

joined as (

    {{ point_in_time_join('spine', 'prediction_at', [
        {
            'view': 'ftr_account__usage',
            'columns': ['session_count_7d', 'session_count_28d', 'minutes_sum_28d'],
            'derived': ['days_since_session'],
        },
    ]) }}

),

final as (

    select
        *,
        {{ temporal_split('prediction_at', [share_of_time('spine', 'prediction_at', 0.7)], '41d') }} as split
    from joined

)

select * from final
