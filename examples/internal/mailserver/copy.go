package mailserver

import (
	"errors"
	"flag"

	"github.com/imapgate/imapgate/copymeta"
)

func copyFlags(flags *flag.FlagSet, o *copymeta.Options) {
	*o = *copymeta.DefaultOptions()
	policies := []copymeta.Policy{copymeta.Keep, copymeta.Reset, copymeta.Preserve}
	const meaning = ": keep (what the backend does), reset or preserve"
	wordFlag(
		flags, &o.InternalDate, "copy-date", "`policy` for the internal date of a copy"+meaning,
		policies...,
	)
	wordFlag(flags, &o.Flags, "copy-flags", "`policy` for the flags of a copy"+meaning, policies...)
	flags.BoolVar(&o.Move, "copy-move", false, "have MOVE obey -copy-date and -copy-flags too")
	numberFlag(
		flags, &o.MaxMemory, "copy-max-memory",
		"`bytes` that one COPY holds in memory; the rest goes to a temporary file",
	)
	numberFlag(flags, &o.MaxBytes, "copy-max-bytes", "`bytes` of one COPY"+noLimit)
	numberFlag(
		flags, &o.MaxTotalMemory, "copy-max-total-memory",
		"`bytes` that all COPYs hold in memory together"+noLimit,
	)
	numberFlag(
		flags, &o.MaxTotalBytes, "copy-max-total-bytes",
		"`bytes` of all temporary files together"+noLimit,
	)
	durationFlag(
		flags, &o.QueueTimeout, "copy-queue-timeout",
		"longest `time` a COPY waits for -copy-max-total-bytes"+noLimit,
	)
	durationFlag(
		flags, &o.ProgressInterval, "copy-progress-interval",
		"`time` between two notices to a client whose COPY waits or runs (0: none)",
	)
	flags.StringVar(
		&o.TempDir, "copy-temp-dir", "", "`folder` of the temporary files (without: the system's)",
	)
}

func checkCopies(o *copymeta.Options) error {
	if o.MaxMemory == 0 { // to the package, zero is the default
		return wrongValue("copy-max-memory", "0", errors.New("it takes a whole number, 1 or more"))
	}
	if err := o.Validate(); err != nil { // flags take nothing else that is wrong
		return wrongValue("copy-temp-dir", o.TempDir, errors.New("it takes a folder"))
	}
	return nil
}
