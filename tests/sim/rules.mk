# tests/sim/: functions of the data plane that the simulator replaces by its own; these call the originals (ld --wrap).

comma := ,
SIM_INTERPOSED := channel_head channel_floor channel_is_waiting channel_reader_join channel_mark_set channel_append \
	channel_append_gap waker_wake waker_prepare_sleep admission_ask admission_answer admission_queue_take \
	admission_queue_is_empty engine_now engine_set_selection engine_finish engine_turn subscriber_set_cause \
	handshake_time_out subscriber_abort

$(BIN)/sim: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(SIM_INTERPOSED))
