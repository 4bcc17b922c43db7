package redislimits_test

import (
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

func Example() {
	redis, err := miniredis.Run() // stands for your Redis
	if err != nil {
		panic(err)
	}
	defer redis.Close()

	cluster := redislimits.DefaultOptions()
	cluster.Client.InitAddress = []string{redis.Addr()} // such as 127.0.0.1:6379
	node, err := redislimits.New(cluster)
	if err != nil {
		panic(err)
	}
	defer node.Close() // after all sessions are closed

	options := limits.DefaultOptions()
	options.Cluster = node
	limiter := limits.New(options) // to be wrapped around NewSession
	fmt.Println(limiter.Stats().Cluster.Leases)
	// Output: 0
}
