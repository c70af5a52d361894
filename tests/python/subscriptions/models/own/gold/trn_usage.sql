with spine as (

    select * from {{ ref('lbl_usage') }}

),

final as (

    {{ point_in_time_join('spine', 'prediction_at', [
        {'view': 'ftr_account__usage', 'columns': ['session_count_7d']},
    ]) }}

)

select * from final
