select consumer_group, topic, partition, next_offset from kafka_offsets where false;
select topic, change_no from kafka_produced where false;
