# tests/sim/: functions of the data plane in whose place the simulator puts its own, which call them.

comma := ,
SIM_INTERPOSED := subscriber_blame

$(BIN)/sim: LDFLAGS += $(addprefix -Wl$(comma)--wrap=,$(SIM_INTERPOSED))
