select webhook_no, name, url, secret, events, enabled from webhooks where false;
select delivery_no, webhook_no, message_id, type, payload, customer_no, attempts, next_at, lease_until from webhook_outbox where false;
