package mailserver

import (
	"errors"
	"flag"

	"github.com/imapgate/imapgate/vfolders"
)

// virtualFolders says what becomes of parent folders that do not exist.
type virtualFolders struct {
	mode virtualMode
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
