package mailserver

import (
	"errors"
	"flag"
	"log/slog"

	"github.com/imapgate/imapgate/vfolders"
)

// virtualFolders says what becomes of parent folders that do not exist.
type virtualFolders struct {
	mode    virtualMode
	history string // file, "" is none
	vfolders.Options
}

type virtualMode int

const (
	selectableFolders virtualMode = iota
	noSelectFolders
	noVirtualFolders
)

func (v virtualMode) String() string { return [...]string{"selectable", "noselect", "off"}[v] }

func virtualFolderFlags(flags *flag.FlagSet, v *virtualFolders) {
	wordFlag(
		flags, &v.mode, "virtual-folders",
		"`mode` of parent folders that do not exist: selectable (as empty folders), "+
			"noselect (only shown) or off",
		selectableFolders, noSelectFolders, noVirtualFolders,
	)
	flags.StringVar(
		&v.history, "virtual-folders-history", "",
		"`file` that keeps over a restart which names have been mailboxes, although the mail itself is "+
			"only in memory",
	)
	listFlag(
		flags, &v.Prefixes, "virtual-folders-prefix",
		"`subtree`, such as #users, that they are limited to; may be given again",
		func(text string) (string, error) {
			only := vfolders.Options{Prefixes: []string{text}}
			if only.Validate() != nil {
				return "", errors.New("it takes the beginning of a mailbox name, such as #users")
			}
			return text, nil
		},
	)
	numberFlag(
		flags, &v.MaxTotalMemory, "virtual-folders-max-total-memory",
		"`bytes` of the answers to LIST that are held in memory for them"+noLimit,
	)
}

// options returns nil if there are none.
func (v virtualFolders) options() *vfolders.Options {
	switch v.mode {
	case noSelectFolders:
		v.Mode = vfolders.NoSelect
	case noVirtualFolders:
		return nil
	}
	return &v.Options
}

func (v *virtualFolders) check() error {
	if v.history != "" && v.mode == noVirtualFolders {
		return wrongValue(
			"virtual-folders-history", v.history,
			errors.New("it needs -virtual-folders selectable or noselect"),
		)
	}
	return nil
}

// open opens the file, if there is one.
func (v *virtualFolders) open(logger *slog.Logger) (close func() error, err error) {
	if v.history == "" {
		return func() error { return nil }, nil
	}
	v.History, err = vfolders.OpenHistory(v.history, printer{logger, "vfolders"})
	if err != nil {
		return nil, wrongValue("virtual-folders-history", v.history, err)
	}
	return v.History.Close, nil
}
