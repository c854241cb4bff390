select rejection_no, source, reason, place, type, message_id, request_id, received_at from rejections where false;
