// A client of a gRPC service that finds the instances with etcd's own resolver and asks them in turn. For each line on
// standard input it calls the health service of one instance, and prints the address and the answer.
//
// usage: grpc-client ETCD TARGET
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/peer"
)

const timeout = 5 * time.Second

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(etcd, target string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}, DialTimeout: timeout})
	if err != nil {
		return err
	}
	builder, err := resolver.NewBuilder(client)
	if err != nil {
		return err
	}
	connection, err := grpc.Dial("etcd:///"+target, grpc.WithResolvers(builder), grpc.WithInsecure(),
		grpc.WithDefaultServiceConfig(`{"loadBalancingPolicy":"round_robin"}`))
	if err != nil {
		return err
	}
	health := grpc_health_v1.NewHealthClient(connection)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(ask(health))
	}
	return lines.Err()
}

func ask(health grpc_health_v1.HealthClient) string {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var from peer.Peer
	answer, err := health.Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.WaitForReady(true), grpc.Peer(&from))
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(from.Addr, " ", answer.Status)
}
