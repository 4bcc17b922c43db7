package mailserver

import (
	"errors"
	"flag"

	"github.com/imapgate/imapgate/idle"
)

func idleFlags(flags *flag.FlagSet, o *idle.Options) {
	o.PollInterval = idle.DefaultPollInterval
	wordFlag(
		flags, &o.Mode, "idle",
		"`mode` of IDLE: on, poll (the backend is polled) or off (it is not even advertised)", idle.On,
		idle.Poll, idle.Off,
	)
	durationFlag(
		flags, &o.PollInterval, "idle-poll-interval", "longest `time` between two polls with -idle poll",
	)
	numberFlag(
		flags, &o.MaxPerUser, "idle-max-per-user",
		"`number` of sessions of a user in IDLE; more are polled, four times as slowly"+noLimit,
	)
	numberFlag(
		flags, &o.MaxPolls, "idle-max-polls", "`number` of sessions that are polled at once"+noLimit,
	)
	durationFlag(flags, &o.MaxDuration, "idle-max-duration", "longest `time` of an IDLE"+noLimit)
}

func checkIdle(o *idle.Options) error {
	// To the package, zero is the default.
	if o.PollInterval == 0 || o.Validate() != nil {
		return wrongValue(
			"idle-poll-interval", o.PollInterval.String(), errors.New("it takes a duration from 1ms to 24h"),
		)
	}
	return nil
}
