package mailserver

import (
	"flag"

	"github.com/imapgate/imapgate/copymeta"
)

func copyFlags(flags *flag.FlagSet, o *copymeta.Options) {
	policies := []copymeta.Policy{copymeta.Keep, copymeta.Reset, copymeta.Preserve}
	const meaning = ": keep (what the backend does), reset or preserve"
	wordFlag(
		flags,
		&o.InternalDate,
		"copy-date",
		"`policy` for the internal date of a copy"+meaning,
		policies...)
	wordFlag(flags, &o.Flags, "copy-flags", "`policy` for the flags of a copy"+meaning, policies...)
}
